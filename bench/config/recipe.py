"""How a run is optimised: the recipe of a study, and what an entry sets above it. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, create_model, model_serializer

from bench.networks.switches import LatentLaw

Optimizer = Literal["adam", "rmsprop", "sgd"]
DiscriminatorNorm = Literal["batch", "layer", "spectral", "none", "batch+spectral"]


class Table(BaseModel):
    """A table of bench.toml: frozen, strict, and closed to unknown keys.

    Keys that came `later` than the ids of runs are left out of what is written while they have their default, so that
    the ids stay.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = {key for key in self.later if getattr(self, key) == type(self).model_fields[key].default}
        values: dict[str, Any] = write(self)
        return {key: value for key, value in values.items() if key not in unused}


class WarmUp(Table):
    """More discriminator steps in the first generator steps, and again later.

    generator_steps       in the first so many generator steps ...
    discriminator_steps   ... so many discriminator steps each are taken
    repeat_every          and again in every so-many-th generator step (not given: never)
    """

    generator_steps: int = Field(ge=0)
    discriminator_steps: int = Field(ge=1)
    repeat_every: int | None = Field(None, ge=1)


class Recipe(Table):
    """How a run is optimised; under `controlled` the same for every row.

    optimizer                     adam, rmsprop or sgd, for both players
    learning_rate_discriminator   D's rate at the start
    learning_rate_generator       G's rate at the start
    betas                         Adam's decay rates of the first and second moment
    alpha                         RMSProp's decay rate
    momentum                      SGD's momentum
    epsilon                       the small constant that Adam and RMSProp divide with
    discriminator_steps           steps of D before each step of G
    generator_steps_per_iteration   steps of G after those of D: above 1, D is trained before every so-many-th step of G
                                  alone. The further steps take fresh latents, and the same real batch
    norm                          the normalisation in D
    warm_up                       more discriminator steps at the start, see the table warm_up
    weight_decay                  L2, added to the gradients of both players
    packing                       images that D judges together as one sample (PacGAN, Lin et al. 2017); divides the
                                  batch
    lazy_penalty                  every how many D steps the penalty is taken, so many times as strong, as an optimiser
                                  step of its own; D's rate and betas are rescaled by k/(k+1) (StyleGAN2, Karras et al.
                                  2019)
    instance_noise                standard deviation at the start of the Gaussian noise on all images that D sees, on
                                  [-1, 1]; it falls linearly to 0
    instance_noise_steps          over so many generator steps (not given: the whole run)
    latent_law                    what G's latents are drawn from (not given: what the study's backbone says)
    conditioning                  how D is told the labels of a study that has some: "concat" as input planes;
                                  "projection" by an inner product added to its score (Miyato and Koyama 2018);
                                  "product" by that alone (R3GAN's code); "none" not at all (not given: as the objective
                                  says, which for most is concat)
    """

    optimizer: Optimizer = "adam"
    learning_rate_discriminator: float = Field(1e-4, gt=0, le=1)
    learning_rate_generator: float = Field(1e-4, gt=0, le=1)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999)
    alpha: float = Field(0.99, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0, le=1)
    discriminator_steps: int = Field(1, ge=1, le=1000)
    norm: DiscriminatorNorm = "layer"
    warm_up: WarmUp | None = None
    weight_decay: float = Field(0.0, ge=0, lt=1)
    packing: int = Field(1, ge=1, le=16)
    lazy_penalty: int = Field(1, ge=1, le=1000)
    instance_noise: float = Field(0.0, ge=0, le=10)
    instance_noise_steps: int | None = Field(None, ge=1)
    latent_law: LatentLaw | None = None
    conditioning: Literal["concat", "projection", "product", "none"] | None = None
    generator_steps_per_iteration: int = Field(1, ge=1, le=1000)
    momentum: float = Field(0.0, ge=0, lt=1)

    later: ClassVar[frozenset[str]] = frozenset({"conditioning", "generator_steps_per_iteration", "momentum"})


class _Overrides(Table):
    """How rows are optimised: any of a recipe's keys, each None where it is not given.

    learning_rate   both players' rate at the start
    """

    learning_rate: float | None = Field(None, gt=0, le=1)

    def over(self, base: Recipe) -> Recipe:
        """Return `base` with what is set here in its place."""
        values = self.model_dump(exclude_none=True, exclude={"learning_rate"})
        if self.learning_rate is not None:
            values = {
                "learning_rate_discriminator": self.learning_rate,
                "learning_rate_generator": self.learning_rate,
            } | values
        return Recipe.model_validate(base.model_dump() | values)


if TYPE_CHECKING:
    # A type checker cannot read a generated model. It takes the keys from Recipe, and does not see that each may be
    # None here.
    class RecipeOverrides(Recipe, _Overrides): ...
else:
    RecipeOverrides = create_model(
        "RecipeOverrides",
        __base__=_Overrides,
        __module__=__name__,
        __doc__=_Overrides.__doc__,
        **{
            name: (Annotated[key.annotation | None, Field(), *key.metadata], None)
            for name, key in Recipe.model_fields.items()
        },
    )
