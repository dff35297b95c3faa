"use strict";
// Tables sort by a click on a heading, or Enter or Space; the page says everything without this.
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
for (const table of document.querySelectorAll(".scroll:not(.equal) > table")) {
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
