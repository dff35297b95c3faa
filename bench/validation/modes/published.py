"""What papers state for these tasks, with where it stands and what its plus-minus means. No torch.

Every figure is quoted, none is ours. `row` is the row of our tables that a method stands beside, "" for none.
"""

from __future__ import annotations

from dataclasses import dataclass

VEEGAN = "VEEGAN (Srivastava et al. 2017, arXiv 1705.07761), table 1"
VEEGAN_STACKED = "VEEGAN (Srivastava et al. 2017, arXiv 1705.07761), table of stacked MNIST"
PACGAN_POINTS = "PacGAN (Lin et al. 2017, arXiv 1712.04086), table 1"
PACGAN_STACKED = "PacGAN (Lin et al. 2017, arXiv 1712.04086), table 2"
PACGAN_SMALL = "PacGAN (Lin et al. 2017, arXiv 1712.04086), table 3"
R3GAN_ABLATION = "R3GAN (Huang et al. 2025, arXiv 2501.05441), ablation on a small ResNet"
R3GAN_TABLE = "R3GAN (Huang et al. 2025, arXiv 2501.05441), table of stacked MNIST"

STANDARD_ERROR = "standard error over the trials"
NOT_STATED = "not stated in what was read"


@dataclass(frozen=True)
class Figure:
    """One method on one task. Shares are in percent, KL in nats; `..._pm` is the printed plus-minus.

    `recalled` names the fields that were quoted from memory of the paper, not read in it.
    """

    task: str
    method: str
    row: str
    source: str
    modes: float | None
    modes_pm: float | None = None
    high_quality: float | None = None
    high_quality_pm: float | None = None
    kl: float | None = None
    kl_pm: float | None = None
    trials: int | None = None
    spread: str = NOT_STATED
    note: str = ""
    recalled: tuple[str, ...] = ()


def _pacgan_points() -> list[Figure]:
    ring = {
        "GAN": ("nsgan", (6.3, 0.5), (98.2, 0.2), (0.45, 0.09)),
        "ALI": ("", (6.6, 0.3), (97.6, 0.4), (0.36, 0.04)),
        "PacGAN2": ("pacgan2", (7.9, 0.1), (95.6, 2.0), (0.07, 0.03)),
        "PacGAN3": ("pacgan3", (7.8, 0.1), (97.7, 0.3), (0.10, 0.02)),
        "PacGAN4": ("pacgan4", (7.8, 0.1), (95.9, 1.4), (0.07, 0.02)),
    }
    grid = {
        "GAN": ("nsgan", (17.3, 0.8), (94.8, 0.7), (0.70, 0.07)),
        "ALI": ("", (24.1, 0.4), (95.7, 0.6), (0.14, 0.03)),
        "PacGAN2": ("pacgan2", (23.8, 0.7), (91.3, 0.8), (0.13, 0.04)),
        "PacGAN3": ("pacgan3", (24.6, 0.4), (94.2, 0.4), (0.06, 0.02)),
        "PacGAN4": ("pacgan4", (24.8, 0.2), (93.6, 0.6), (0.04, 0.01)),
    }
    return [
        Figure(task, method, row, PACGAN_POINTS, *modes, *quality, *kl, trials=10, spread=STANDARD_ERROR)
        for task, table in (("ring", ring), ("grid", grid))
        for method, (row, modes, quality, kl) in table.items()
    ]


def _veegan_points() -> list[Figure]:
    ring = {"GAN": (1.0, 99.3), "ALI": (2.8, 0.13), "Unrolled GAN": (7.6, 35.6), "VEEGAN": (8.0, 52.9)}
    grid = {"GAN": (3.3, 0.5), "ALI": (15.8, 1.6), "Unrolled GAN": (23.6, 16.0), "VEEGAN": (24.6, 40.0)}
    return [
        Figure(task, method, "nsgan" if method == "GAN" else "", VEEGAN, modes, high_quality=quality)
        for task, table in (("ring", ring), ("grid", grid))
        for method, (modes, quality) in table.items()
    ]


def _stacked() -> list[Figure]:
    veegan = {"DCGAN": (99.0, 3.40), "ALI": (16.0, 5.40), "Unrolled GAN": (48.7, 4.32), "VEEGAN": (150.0, 2.95)}
    pacgan = {
        "DCGAN": ("nsgan", (78.9, 6.46), (4.50, 0.127)),
        "PacDCGAN2": ("pacgan2", (1000.0, 0.0), (0.06, 0.003)),
        "PacDCGAN3": ("pacgan3", (1000.0, 0.0), (0.06, 0.003)),
        "PacDCGAN4": ("pacgan4", (1000.0, 0.0), (0.07, 0.005)),
    }
    ablation = {
        "RpGAN + R1 + R2": ("r3gan", 1000.0, 0.0781, ""),
        "GAN + R1 + R2": ("r1r2", 693.0, 0.9270, ""),
        "RpGAN + R1": ("", None, None, 'given as "Fail": diverged early'),
        "GAN + R1": ("r1", None, None, 'given as "Fail": diverged early'),
    }
    table = {
        "WGAN-GP": ("wgan-gp", 959.0, 0.73),
        "PacGAN": ("", 992.0, 0.28),
        "StyleGAN2": ("", 940.0, 0.42),
        "PresGAN": ("", 1000.0, 0.115),
        "Adv-DSM": ("", 1000.0, 1.49),
        "VAEBM": ("", 1000.0, 0.087),
        "DDGAN": ("", 1000.0, 0.071),
        "MEG": ("", 1000.0, 0.031),
        "R3GAN, config E": ("r3gan", 1000.0, 0.029),
    }
    return [
        *(
            Figure(
                "stacked", method, row, PACGAN_STACKED, *modes, kl=kl[0], kl_pm=kl[1], trials=10, spread=STANDARD_ERROR
            )
            for method, (row, modes, kl) in pacgan.items()
        ),
        *(
            Figure("stacked", method, "nsgan" if method == "DCGAN" else "", VEEGAN_STACKED, modes, kl=kl)
            for method, (modes, kl) in veegan.items()
        ),
        *(
            Figure("stacked", method, row, R3GAN_ABLATION, modes, kl=kl, note=note)
            for method, (row, modes, kl, note) in ablation.items()
        ),
        *(
            Figure("stacked", method, row, R3GAN_TABLE, modes, kl=kl, recalled=("kl",))
            for method, (row, modes, kl) in table.items()
        ),
        Figure("stacked", "ProGAN, low capacity", "", R3GAN_TABLE, 857.0, note="footnote of the table"),
        Figure("stacked", "ProGAN + minibatch deviation", "", R3GAN_TABLE, 881.0, note="footnote of the table"),
    ]


def _small_discriminator() -> list[Figure]:
    """Return PacGAN's table 3, whose D has a quarter or half of G's size: another protocol than table 2."""
    quarter = {
        "DCGAN (Unrolled GAN's paper)": ((30.6, 20.73), (5.99, 0.42)),
        "Unrolled GAN, 1 step": ((65.4, None), (5.91, None)),
        "Unrolled GAN, 5 steps": ((236.4, None), (4.67, None)),
        "Unrolled GAN, 10 steps": ((327.2, None), (4.66, None)),
        "DCGAN": ((78.5, 17.56), (5.21, 0.19)),
        "PacDCGAN2": ((484.5, 32.99), (2.61, 0.22)),
        "PacDCGAN3": ((601.3, 32.18), (2.00, 0.17)),
        "PacDCGAN4": ((667.4, 29.00), (1.81, 0.15)),
    }
    half = {
        "DCGAN (Unrolled GAN's paper)": ((628.0, 140.9), (2.58, 0.75)),
        "Unrolled GAN, 1 step": ((523.6, None), (2.44, None)),
        "Unrolled GAN, 5 steps": ((732.0, None), (1.66, None)),
        "Unrolled GAN, 10 steps": ((817.4, None), (1.43, None)),
        "DCGAN": ((487.7, 34.59), (2.24, 0.15)),
        "PacDCGAN2": ((840.7, 15.92), (1.00, 0.05)),
        "PacDCGAN3": ((866.6, 12.10), (0.90, 0.04)),
        "PacDCGAN4": ((820.2, 25.50), (1.15, 0.14)),
    }
    return [
        Figure(
            *("stacked", method, "", PACGAN_SMALL),
            *modes,
            kl=kl[0],
            kl_pm=kl[1],
            trials=50 if method.startswith("Pac") else None,
            note=f"D has {size} of G's size",
        )
        for size, table in (("a quarter", quarter), ("half", half))
        for method, (modes, kl) in table.items()
    ]


def published() -> tuple[Figure, ...]:
    """Return every figure, task by task."""
    return (*_pacgan_points(), *_veegan_points(), *_stacked(), *_small_discriminator())


def published_for(task: str, row: str | None = None) -> tuple[Figure, ...]:
    """Return a task's figures, only those that stand beside `row` when one is given."""
    return tuple(figure for figure in published() if figure.task == task and row in (None, figure.row))
