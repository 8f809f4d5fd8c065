"use strict";
// Charts and tables are made of the data in #data: every name goes in as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const LANGUAGES = ["en", "zh-CN"];
const FIRST_ROWS = 50, MOST_BARS = 30;
const state = { language: 0, dark: false };
const charts = [];
const contents = [];  // of each section: its chart and its table
const later = [];  // what is not made yet of them

const say = (text) => (Array.isArray(text) ? text[state.language] : String(text ?? ""));
const word = (key) => say(data.words[key]);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function digits(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 5 });
}

function size(value) {
  for (const [unit, scale] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]])
    if (value >= scale) return `${(value / scale).toFixed(1)} ${unit}`;
  return `${value} B`;
}

function shown(value, kind) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return say(value);
  if (kind === "share") return `${(100 * value).toFixed(value < 0.001 && value > 0 ? 3 : 1)} %`;
  if (kind === "bytes") return size(value);
  if (kind === "db") return value >= 200 ? word("exact") : value <= -200 ? word("silent") : value.toFixed(1);
  if (kind === "integer") return Math.round(value).toLocaleString("en-US");
  return digits(value);
}

// ---- tables

function compare(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return say(a).localeCompare(say(b), undefined, { numeric: true });
}

function csv(section) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : say(value);
    // A spreadsheet computes a cell that begins like a formula.
    if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [section.columns.map((column) => cell(column[0])), ...section.rows.map((row) => row.map(cell))];
  return lines.map((line) => line.join(",") + "\r\n").join("");
}

function download(section) {
  const address = URL.createObjectURL(new Blob(["\ufeff" + csv(section)], { type: "text/csv" }));
  make("a", { href: address, download: `${data.name}-${section.id}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function table(section) {
  const view = { by: -1, down: false, all: false, find: "" };
  const body = make("tbody"), heads = make("tr"), more = make("div", { class: "tools" });
  section.columns.forEach(([title, kind], index) => {
    const sort = () => {
      view.down = view.by === index ? !view.down : kind !== "text";
      view.by = index;
      fill();
    };
    const button = make("button", { type: "button", onclick: sort }, say(title));
    heads.append(make("th", { scope: "col", class: kind === "text" ? "text" : "figure" }, button));
  });
  function fill() {
    const wanted = view.find.toLowerCase();
    let rows = section.rows.filter((row) => !wanted || row.some((cell) => say(cell).toLowerCase().includes(wanted)));
    if (view.by >= 0) {
      rows = rows.map((row, index) => [row, index]);
      const sign = view.down ? -1 : 1;
      rows.sort(([a, i], [b, j]) => {
        const missing = (a[view.by] === null) - (b[view.by] === null);
        return missing || sign * compare(a[view.by], b[view.by]) || i - j;
      });
      rows = rows.map(([row]) => row);
    }
    [...heads.children].forEach((head, index) => {
      if (index === view.by) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const few = view.all ? rows : rows.slice(0, FIRST_ROWS);
    body.replaceChildren(...few.map((row) => make("tr", {}, ...row.map((value, index) => {
      const kind = section.columns[index][1];
      return make("td", { class: kind === "text" ? "text" : "figure" }, shown(value, kind));
    }))));
    const rest = make("button", { type: "button", onclick: () => { view.all = true; fill(); } },
      word("all").replace("{}", rows.length));
    more.replaceChildren(...(few.length < rows.length ? [rest] : []));
  }
  fill();
  const find = make("input", { type: "search", placeholder: word("find"), "aria-label": word("find"),
    oninput: (event) => { view.find = event.target.value; fill(); } });
  const save = make("button", { type: "button", class: "csv", onclick: () => download(section) }, word("csv"));
  const tools = make("div", { class: "tools" }, save, ...(section.rows.length > 8 ? [find] : []));
  const grid = make("table", { "aria-label": say(section.title) }, make("thead", {}, heads), body);
  return [tools, make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say(section.title) }, grid), more];
}

// ---- charts

function chart(section) {
  const holder = make("div", { class: "chart", role: "img", "aria-label": say(section.title) });
  const view = { at: 0 }, entry = { holder, instance: null };
  entry.draw = () => {
    const made = KINDS[section.chart.type](section, theme(), view.at);
    holder.style.height = `${made.height}px`;
    loadCharts();
    if (entry.instance) entry.instance.dispose();
    entry.instance = echarts.init(holder, null, { renderer: "svg" });
    entry.instance.setOption(made.options);
    holder.dataset.drawn = "yes";
  };
  // The height is known before it is drawn, so that links lead where they should.
  holder.style.height = `${KINDS[section.chart.type](section, theme(), 0).height}px`;
  charts.push(entry);
  if (section.chart.type !== "histogram") return [holder];
  const choose = make("select", { onchange: (event) => { view.at = Number(event.target.value); entry.draw(); } },
    ...section.rows.map((row, index) => make("option", { value: index }, say(row[section.chart.label]))));
  return [make("div", { class: "tools" }, make("label", {}, `${word("choose")} `, choose)), holder];
}

// The library is half a megabyte, which the first screen does not wait for.
function loadCharts() {
  const library = document.getElementById("echarts");
  if (library.type === "text/plain") library.replaceWith(make("script", { id: "echarts" }, library.textContent));
}

const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 1));

// Charts are drawn when they come near the screen, and all of them before printing.
const near = new IntersectionObserver((entries) => {
  for (const item of entries) {
    const entry = charts.find((found) => found.holder === item.target);
    const draw = () => charts.includes(entry) && !entry.instance && entry.draw();
    if (item.isIntersecting && entry) whenIdle(draw, { timeout: 500 });
  }
}, { rootMargin: "600px" });

const redraw = () => charts.forEach((entry) => entry.instance && entry.draw());

// ---- the page

// The tables without scripts make way for those that can be sorted, with their charts.
function fill(section) {
  const content = make("div"), kind = section.chart.type;
  document.getElementById(section.id).append(content);
  later.push(() => {
    const drawn = kind === "graph" ? graph(section) : KINDS[kind] ? chart(section) : [];
    content.append(...drawn, ...table(section));
    content.querySelectorAll(".chart").forEach((holder) => near.observe(holder));
  });
  return content;
}

// Sections are filled one by one while the browser has time, and all at once for a link into
// them, a printer, and another language.
function fillNext() {
  if (later.length) later.shift()();
  if (later.length) whenIdle(fillNext, { timeout: 200 });
  else document.documentElement.dataset.filled = "yes";
}

function fillAll() {
  while (later.length) later.shift()();
  document.documentElement.dataset.filled = "yes";
}

function build() {
  charts.forEach((entry) => entry.instance && entry.instance.dispose());
  charts.length = later.length = 0;
  document.documentElement.dataset.filled = "no";
  near.disconnect();
  document.getElementById("contents").setAttribute("aria-label", word("contents"));
  document.querySelectorAll("section h2 a").forEach((link) => { link.title = word("link"); });
  contents.splice(0).forEach((content) => content.remove());
  contents.push(...data.sections.map(fill));
}

// What the page says has the other language beside it.
function setLanguage(index) {
  state.language = index;
  if (document.documentElement.lang === LANGUAGES[index]) return;
  document.documentElement.lang = LANGUAGES[index];
  for (const element of document.querySelectorAll("[data-other]"))
    [element.textContent, element.dataset.other] = [element.dataset.other, element.textContent];
}

function remember(key, value) {
  try { localStorage.setItem(`hexconv-${key}`, value); } catch { /* a page of a file may have no storage */ }
}

function remembered(key) {
  try { return localStorage.getItem(`hexconv-${key}`); } catch { return null; }
}

function setTheme(dark) {
  state.dark = dark;
  document.documentElement.classList.toggle("dark", dark);
}

setLanguage((remembered("language") ?? (navigator.language.startsWith("zh") ? "1" : "0")) === "1" ? 1 : 0);
setTheme((remembered("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark");
document.getElementById("language").addEventListener("click", () => {
  setLanguage(1 - state.language);
  remember("language", state.language);
  build();
  fillAll();
});
document.getElementById("theme").addEventListener("click", () => {
  setTheme(!state.dark);
  remember("theme", state.dark ? "dark" : "light");
  redraw();
});
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 150);
});
addEventListener("beforeprint", () => {  // paper is light
  const { dark } = state;
  fillAll();
  setTheme(false);
  charts.forEach((entry) => entry.draw());
  addEventListener("afterprint", () => { setTheme(dark); redraw(); }, { once: true });
});
addEventListener("click", ({ target }) => target.closest?.('a[href^="#"]') && fillAll());
build();
whenIdle(fillNext, { timeout: 200 });
if (location.hash) {
  fillAll();
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView({ behavior: "instant" });
}
