// Sorts, filters and pages every table of the report. Cells are made by textContent only: no text of a row is markup.
"use strict";
(() => {
  const PAGE = matchMedia("(max-width: 64rem)").matches ? 10 : 25;
  const LONG = 14; // a text of more characters may be broken anywhere
  const CLASSES = { n: "number", m: "wide" };
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Rows that are in the page as HTML: few, and there without a script, too.
  const rowsOfHtml = (table) => {
    const rows = [...table.tBodies[0].rows];
    const text = (row, column) => rows[row].cells[column].textContent;
    return {
      count: rows.length,
      text,
      value: (row, column) => {
        const { v } = rows[row].cells[column].dataset;
        return v === undefined ? text(row, column) : v === "" ? null : Number(v);
      },
      row: (row) => rows[row],
    };
  };

  // Rows that are in the page as JSON. Columns "w" and "m" hold numbers of words, which many rows share.
  const rowsOfData = (table, data) => {
    const { rows, words, kinds, labels } = data;
    const time = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
    const value = (row, column) => {
      const cell = rows[row][column];
      return "wm".includes(kinds[column]) ? words[cell] : cell === "" ? null : cell;
    };
    const text = (row, column) => {
      const cell = value(row, column);
      return cell === null ? "" : kinds[column] === "t" ? time(cell) : String(cell);
    };
    const row = (number) => {
      const line = make("tr");
      line.setAttribute("role", "row");
      labels.forEach((label, column) => {
        const content = text(number, column);
        const cell = make("td", {}, make("bdi", { textContent: content }));
        cell.setAttribute("role", "cell");
        cell.dataset.label = label;
        const name = CLASSES[kinds[column]] ?? (content.length > LONG ? "long" : content ? "" : "blank");
        if (name) cell.className = name;
        line.append(cell);
      });
      return line;
    };
    return { count: rows.length, text, value, row };
  };

  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === null || a === "") return 1; // what is blank comes last, whichever way
    if (b === null || b === "") return -1;
    return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
  };
  const isBlank = (value) => value === null || value === "";

  const enhance = (box) => {
    const table = box.querySelector("table");
    const source = box.dataset.source ? document.getElementById(box.dataset.source) : null;
    const rows = source ? rowsOfData(table, JSON.parse(source.textContent)) : rowsOfHtml(table);
    const heads = [...table.tHead.rows[0].cells];
    const columns = heads.map((_, column) => column);
    let order = Array.from({ length: rows.count }, (_, row) => row);
    let found = order;
    let page = 0;
    let texts = null;

    const search = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const choices = (box.dataset.choose ? box.dataset.choose.split(",") : []).map(Number).map((column) => {
      const values = new Set();
      for (let row = 0; row < rows.count; row++) values.add(rows.text(row, column));
      const any = make("option", { value: "", textContent: "any" });
      const one = (value) => make("option", { value, textContent: value });
      const select = make("select", {}, any, ...[...values].filter(Boolean).sort(collator.compare).map(one));
      return { column, select };
    });
    const said = make("p", { className: "said" });
    said.setAttribute("role", "status");
    const earlier = make("button", { type: "button", textContent: "Previous" });
    const later = make("button", { type: "button", textContent: "Next" });

    const show = () => {
      const first = page * PAGE;
      const shown = found.slice(first, first + PAGE);
      table.tBodies[0].replaceChildren(...shown.map((row) => rows.row(row)));
      const all = rows.count.toLocaleString("en");
      const some = found.length.toLocaleString("en");
      const range = `${(first + 1).toLocaleString("en")}–${(first + shown.length).toLocaleString("en")}`;
      const of = found.length < rows.count ? `${some} found of ${all}` : all;
      said.textContent = found.length ? `${range} of ${of}` : `nothing found in ${all}`;
      earlier.disabled = page === 0;
      later.disabled = first + PAGE >= found.length;
      earlier.hidden = later.hidden = found.length <= PAGE;
    };

    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      const chosen = choices.filter(({ select }) => select.value);
      if (wanted && !texts) {
        texts = [];
        for (let row = 0; row < rows.count; row++)
          texts.push(columns.map((column) => rows.text(row, column)).join("\n").toLowerCase());
      }
      found = order.filter(
        (row) =>
          chosen.every(({ column, select }) => rows.text(row, column) === select.value) &&
          (!wanted || texts[row].includes(wanted)),
      );
      page = 0;
      show();
    };

    const sort = (column, way) => {
      heads.forEach((head, other) => {
        if (other === column) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      const values = Array.from({ length: rows.count }, (_, row) => rows.value(row, column));
      const sign = (a, b) => (isBlank(values[a]) || isBlank(values[b]) ? 1 : way);
      order = Array.from({ length: rows.count }, (_, row) => row);
      order.sort((a, b) => sign(a, b) * compare(values[a], values[b]) || a - b);
      filter();
    };

    heads.forEach((head, column) => {
      const button = make("button", { type: "button" }, ...head.childNodes);
      button.addEventListener("click", () =>
        sort(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1),
      );
      head.replaceChildren(button);
    });
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(filter, 120);
    });
    choices.forEach(({ select }) => select.addEventListener("change", filter));
    earlier.addEventListener("click", () => { page -= 1; show(); });
    later.addEventListener("click", () => { page += 1; show(); });

    const tools = make("div", { className: "tools" });
    tools.append(make("label", {}, "Find ", search));
    choices.forEach(({ column, select }) =>
      tools.append(make("label", {}, `${heads[column].textContent} `, select)),
    );
    tools.append(said, make("span", { className: "pages" }, earlier, later));
    table.before(tools);
    show();
  };

  // The first paint comes before the work: a hundred thousand rows take a moment to parse.
  document.querySelectorAll(".without-script").forEach((element) => element.remove());
  const boxes = [...document.querySelectorAll("[data-table]")];
  const next = () => {
    const box = boxes.shift();
    if (box) {
      enhance(box);
      setTimeout(next, 0);
    } else document.body.dataset.ready = "";
  };
  requestAnimationFrame(() => setTimeout(next, 0));
})();
