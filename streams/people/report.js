"use strict";
// Sorting and filtering of the list of alerts; the page is complete without it.
(() => {
  const table = document.getElementById("alert-table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const count = document.getElementById("count");
  const filters = document.getElementById("filters");
  const fields = Array.from(filters.querySelectorAll("[data-filter]"));
  const texts = new Map();
  const everything = count.textContent;

  const orderOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.order === undefined ? cell.textContent : cell.dataset.order;
  };
  const compare = (left, right) => {
    const numbers = left !== "" && right !== "" && !isNaN(left) && !isNaN(right);
    return numbers ? Number(left) - Number(right) : left.localeCompare(right, "en", { numeric: true });
  };

  const sortBy = (head, column) => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) {
      other.setAttribute("aria-sort", "none");
    }
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const keyed = rows.map((row, place) => [orderOf(row, column), place, row]);
    keyed.sort((a, b) => (ascending ? 1 : -1) * compare(a[0], b[0]) || a[1] - b[1]);
    body.append(...keyed.map((item) => item[2]));
  };

  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const filter = () => {
    const wanted = Object.fromEntries(fields.map((field) => [field.dataset.filter, field.value]));
    const words = wanted.words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const keeps = ["severity", "typology", "status"].every((name) => !wanted[name] || row.dataset[name] === wanted[name]);
      row.hidden = !(keeps && words.every((word) => textOf(row).includes(word)));
      if (!row.hidden) shown += 1;
    }
    count.textContent = shown === rows.length ? everything : `${shown} of ${everything}`;
  };

  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(head, column));
  });
  fields.forEach((field) => field.addEventListener("input", filter));
  document.getElementById("reset").addEventListener("click", () => {
    fields.forEach((field) => { field.value = ""; });
    filter();
  });
  filters.hidden = false;

  // Paper cannot be unfolded: open everything before printing and fold it again after.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = Array.from(document.querySelectorAll("details:not([open])"));
    folded.forEach((item) => { item.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((item) => { item.open = false; }));

  // A link may preset the list: report.html#sort=certain or #words=L-2026-0001.
  const preset = new URLSearchParams(location.hash.slice(1));
  fields.forEach((field) => { if (preset.has(field.dataset.filter)) field.value = preset.get(field.dataset.filter); });
  if (fields.some((field) => field.value)) filter();
  if (preset.has("sort")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const head = heads.find((cell) => cell.textContent === preset.get("sort"));
    if (head) sortBy(head, heads.indexOf(head));
  }
})();
