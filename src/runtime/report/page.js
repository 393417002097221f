"use strict";
document.querySelectorAll("th").forEach(function (head, nth) {
  head.querySelector("button").addEventListener("click", function () {
    var body = document.querySelector("tbody");
    var up = head.getAttribute("aria-sort") === "descending";
    document.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    var value = function (row) { return row.cells[nth].dataset.v; };
    Array.from(body.rows).sort(function (one, other) {
      var order = value(one).localeCompare(value(other), undefined, { numeric: true });
      return up ? order : -order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
