"use strict";
(() => {
  const number = (text) => {
    const plain = text.replace(/[,\u202f\s%]/g, "").replace(/\u2212/g, "-");
    const found = /^[<+]?(-?[\d.]+)/.exec(plain);
    return found ? parseFloat(found[1]) : NaN;
  };
  const compare = (column, numeric, sign) => (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].textContent);
    if (!numeric) return sign * x.localeCompare(y, undefined, { numeric: true });
    const [u, v] = [number(x), number(y)];
    if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v);
    return sign * (u - v);
  };
  const sort = (head) => {
    const table = head.closest("table");
    const numeric = head.classList.contains("n");
    const now = head.getAttribute("aria-sort");
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const next = now === first ? second : first;
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    const order = compare(head.cellIndex, numeric, next === "ascending" ? 1 : -1);
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  };
  for (const head of document.querySelectorAll("th[aria-sort]")) {
    head.firstElementChild.addEventListener("click", () => sort(head));
  }
  const box = document.getElementById("find");
  const rows = [...document.querySelectorAll(".searched tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const find = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, k) => {
      row.hidden = !words.every((word) => texts[k].includes(word));
      left += !row.hidden;
    });
    document.getElementById("found").textContent = words.length
      ? `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`
      : "";
  };
  box.addEventListener("input", find);
  box.addEventListener("keydown", (event) => {
    const row = event.key === "Enter" && rows.find((r) => !r.hidden);
    if (row) row.closest(".table").scrollIntoView();
  });
  box.closest(".search").hidden = rows.length === 0;
})();
