"use strict";
// Any two rows, chosen from two lists: their answers are those of the tables of pairs, which say all of it without this.
for (const chooser of document.querySelectorAll(".pair")) {
  const answers = [...document.querySelectorAll("details[data-pairs]")].map((details) => {
    const rows = details.querySelector("tbody").rows;
    const sentences = new Map(details.dataset.pairs.split(" ").map((pair, at) => [pair, rows[at].cells[1].textContent]));
    return { protocol: details.dataset.protocol, sentences };
  });
  const [first, second] = chooser.querySelectorAll("select");
  const status = chooser.querySelector("[role=status]");
  const answer = () => {
    status.replaceChildren();
    for (const { protocol, sentences } of answers) {
      const found = sentences.get(`${first.value}-${second.value}`) ?? sentences.get(`${second.value}-${first.value}`);
      const name = document.createElement("strong");
      name.textContent = `${protocol[0].toUpperCase()}${protocol.slice(1)}: `;
      const line = document.createElement("p");
      line.append(name, found ?? (first.value === second.value ? "choose two different rows." : "no such pair."));
      status.append(line);
    }
  };
  first.addEventListener("change", answer);
  second.addEventListener("change", answer);
  chooser.hidden = false;
  answer();
}
// Tables sort by a click on a heading, or Enter or Space, and say how much of them lies to the right; an address within
// a folded section opens it. The page says everything without this.
const keyOf = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  const text = cell.firstChild ? cell.firstChild.textContent.trim() : "";
  const number = parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^\+/, ""));
  return Number.isNaN(number) ? text : number;
};
const compare = (a, b) => {
  const kind = (value) => (value === "" || value === "–" ? 2 : typeof value === "number" ? 0 : 1);
  if (kind(a) !== kind(b)) return { by: kind(a) - kind(b), fixed: kind(a) === 2 || kind(b) === 2 };
  return { by: typeof a === "number" ? a - b : a.localeCompare(b), fixed: false };
};
for (const table of document.querySelectorAll(".scroll:not(.facts-table) > table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const last = (row) => row.classList.contains("floor") || row.classList.contains("beside");
      const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
      rows.sort((a, b) => {
        if (last(a.row) !== last(b.row)) return last(a.row) ? 1 : -1;
        const { by, fixed } = compare(a.key, b.key);
        return fixed || !down ? by : -by;
      });
      body.append(...rows.map(({ row }) => row));
    });
  });
}
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (target) target.scrollIntoView();
};
window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) reveal();
});
if (location.hash) reveal();
const hints = new Map();
const watch = new ResizeObserver((entries) => {
  for (const { target: box } of entries) {
    const table = box.querySelector("table"), right = box.getBoundingClientRect().right + 8;
    const beyond = table.offsetWidth > box.clientWidth + 1;
    if (beyond && !hints.has(box)) {
      const hint = document.createElement("p");
      hint.className = "more";
      box.before(hint);
      hints.set(box, hint);
    }
    const hint = hints.get(box);
    if (!hint) continue;
    const hidden = [...table.tHead.rows[0].cells].filter((cell) => cell.getBoundingClientRect().right > right).length;
    hint.hidden = !beyond || !hidden;
    hint.textContent = `${hidden} more ${hidden === 1 ? "column" : "columns"} to the right: scroll the table →`;
  }
});
for (const box of document.querySelectorAll(".scroll")) watch.observe(box);
