"use strict";
// What each kind of chart shows: options of ECharts of a section and the colors of the theme.

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  return { ink: color("--ink"), soft: color("--soft"), line: color("--line"), card: color("--card"),
    series: [color("--blue"), state.dark ? "#e3b341" : "#bc4c00", state.dark ? "#8b949e" : "#8c959f"] };
}

function short(text, most = 26) {
  return text.length <= most ? text : `${text.slice(0, most / 2 - 1)}…${text.slice(1 - most / 2)}`;
}

function common(colors) {
  return { animation: false, aria: { enabled: true }, textStyle: { color: colors.ink, fontFamily: "system-ui, sans-serif" },
    tooltip: { confine: true, renderMode: "richText", backgroundColor: colors.card, textStyle: { color: colors.ink } },
    color: colors.series };
}

const axis = (colors) => ({ axisLabel: { color: colors.soft }, splitLine: { lineStyle: { color: colors.line } },
  axisLine: { lineStyle: { color: colors.line } } });

const compact = (value) => Math.abs(value) >= 1e6 ? `${digits(value / 1e6)} M` : Math.abs(value) >= 1e4 ? `${digits(value / 1e3)} k` : digits(value);

function bars(section, colors) {
  const { columns } = section, any = (at) => section.rows.some((row) => row[at] !== null);
  const chart = { ...section.chart, series: section.chart.series.filter(any) };
  const rows = section.rows.filter((row) => chart.series.some((at) => row[at] !== null)).slice(0, MOST_BARS);
  const label = (row) => say(row[chart.label]) + (chart.also === undefined ? "" : `, ${say(row[chart.also])}`);
  const format = (value, kind) => shown(value, kind);
  return { height: 70 + rows.length * (chart.series.length > 1 ? 34 : 24), options: {
    ...common(colors),
    legend: chart.series.length > 1 ? { textStyle: { color: colors.ink }, top: 0 } : undefined,
    grid: { left: 8, right: 60, top: chart.series.length > 1 ? 30 : 8, bottom: 8, containLabel: true },
    xAxis: { type: "value", ...axis(colors), axisLabel: { color: colors.soft, formatter: chart.unit === "bytes" ? size : compact } },
    yAxis: { type: "category", inverse: true, ...axis(colors), data: rows.map(label),
      axisLabel: { color: colors.ink, formatter: (text) => short(text, innerWidth < 700 ? 16 : 40) } },
    series: chart.series.map((at) => ({ type: "bar", name: say(columns[at][0]), barMaxWidth: 18,
      label: { show: true, position: "right", color: colors.ink,
        formatter: ({ dataIndex }) => format(rows[dataIndex][at], columns[at][1]) },
      data: rows.map((row) => row[at] === null ? null : columns[at][1] === "db" ? Math.min(row[at], 100) : row[at]) })) } };
}

function lines(section, colors) {
  const { chart, columns, rows } = section;
  const bound = (value) => value === null ? null : Math.max(-20, Math.min(100, value));
  return { height: 340, options: {
    ...common(colors),
    tooltip: { ...common(colors).tooltip, trigger: "axis" },
    legend: { textStyle: { color: colors.ink }, top: 0 },
    grid: { left: 8, right: 16, top: 34, bottom: 8, containLabel: true },
    xAxis: { type: "category", ...axis(colors), data: rows.map((row) => say(row[chart.label])),
      axisLabel: { color: colors.soft, formatter: (text) => short(text, 16), hideOverlap: true } },
    yAxis: { type: "value", name: chart.unit, ...axis(colors) },
    series: chart.series.map((at, index) => ({ type: "line", name: say(columns[at][0]), showSymbol: rows.length < 60,
      symbolSize: 5, lineStyle: { width: 2, type: index === 2 ? "dashed" : "solid" }, connectNulls: true,
      data: rows.map((row) => bound(row[at])) })) } };
}

function treemap(section, colors) {
  const { chart } = section, groups = new Map();
  for (const row of section.rows) {
    if (!row[chart.value]) continue;
    const group = say(row[chart.group]);
    if (!groups.has(group)) groups.set(group, { name: group, children: [] });
    groups.get(group).children.push({ name: say(row[chart.label]), value: row[chart.value] });
  }
  return { height: innerWidth < 700 ? 320 : 420, options: {
    ...common(colors),
    color: ["#3f7fbf", "#c2703d", "#5b9a5b", "#8a6fb0", "#b0575c", "#4f9a9a", "#a08a3c", "#7a8793"],
    tooltip: { ...common(colors).tooltip,
      formatter: (info) => `${info.name}\n${Math.round(info.value).toLocaleString("en-US")}` },
    series: [{ type: "treemap", roam: false, nodeClick: "zoomToNode", width: "100%", top: 0, bottom: 30, left: 0, right: 0,
      leafDepth: 2, breadcrumb: { bottom: 0, itemStyle: { color: colors.card, textStyle: { color: colors.ink } } },
      label: { show: true, formatter: "{b}", color: "#fff" }, upperLabel: { show: true, height: 20, color: "#fff" },
      itemStyle: { borderColor: colors.card, gapWidth: 1 },
      levels: [{ itemStyle: { gapWidth: 3, borderColor: colors.card }, upperLabel: { show: false } },
        { itemStyle: { gapWidth: 1, borderColor: "#7a8793" } }, { colorSaturation: [0.35, 0.5] }],
      data: [...groups.values()] }] } };
}

function waterfall(section, colors) {
  const { chart } = section;
  const rows = section.rows.filter((row) => row[chart.value]);
  const total = rows.reduce((sum, row) => sum + row[chart.value], chart.end);
  const names = [word("start")], hidden = [0], visible = [total];
  let level = total;
  for (const row of rows) {
    const next = level - row[chart.value];
    names.push(say(row[chart.label]));
    hidden.push(Math.min(level, next));
    visible.push(Math.abs(row[chart.value]));
    level = next;
  }
  names.push(word("end")); hidden.push(0); visible.push(chart.end);
  const paint = (index) => index === 0 || index === names.length - 1 ? colors.series[0]
    : rows[index - 1][chart.value] > 0 ? "#3f9a57" : "#cf4a4a";
  return { height: 70 + names.length * 26, options: {
    ...common(colors),
    grid: { left: 8, right: 60, top: 8, bottom: 8, containLabel: true },
    xAxis: { type: "value", ...axis(colors), axisLabel: { color: colors.soft, formatter: compact } },
    yAxis: { type: "category", inverse: true, data: names, ...axis(colors), axisLabel: { color: colors.ink } },
    series: [{ type: "bar", stack: "w", silent: true, itemStyle: { color: "transparent" }, data: hidden },
      { type: "bar", stack: "w", barMaxWidth: 20, label: { show: true, position: "right", color: colors.ink, formatter: ({ value }) => compact(value) },
        data: visible.map((value, index) => ({ value, itemStyle: { color: paint(index) } })) }] } };
}

function histogram(section, colors, at) {
  const row = section.rows[at], counts = section.details[at], { chart } = section;
  const step = (row[chart.high] - row[chart.low]) / counts.length;
  return { height: 280, options: {
    ...common(colors),
    grid: { left: 8, right: 16, top: 30, bottom: 8, containLabel: true },
    xAxis: { type: "category", ...axis(colors), data: counts.map((_, index) => digits(row[chart.low] + (index + 0.5) * step)),
      axisLabel: { color: colors.soft, hideOverlap: true } },
    yAxis: { type: "value", name: word("values"), ...axis(colors), axisLabel: { color: colors.soft, formatter: compact } },
    series: [{ type: "bar", barCategoryGap: "8%", data: counts }] } };
}

function graph(section) {
  const [{ width, height, box, places, lines: edges }] = section.details, { chart } = section;
  const part = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const most = Math.max(...section.rows.map((row) => row[chart.share]), 1e-9);
  const svg = part("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  for (const [from, to] of edges) {
    const x1 = places[from][0] + box[0] / 2, y1 = places[from][1] + box[1];
    const x2 = places[to][0] + box[0] / 2, y2 = places[to][1];
    const bend = Math.max(12, (y2 - y1) / 2);
    svg.append(part("path", { class: "edge", d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` }));
  }
  section.rows.forEach((row, index) => {
    const [x, y] = places[index];
    const told = [say(row[chart.label]), say(row[chart.op]), shown(row[chart.share], "share"),
      row[chart.error] === null ? "" : `${shown(row[chart.error], "db")} dB`].filter(Boolean);
    const name = part("text", { x: x + 8, y: y + 14 }, short(told[0], 30));
    const op = part("text", { x: x + 8, y: y + 28, class: "op" }, short(told[1], 30));
    const fill = part("rect", { x, y, width: box[0], height: box[1], rx: 5, "fill-opacity": 0.08 + 0.62 * row[chart.share] / most });
    const back = part("rect", { x, y, width: box[0], height: box[1], rx: 5, class: "back" });
    svg.append(part("g", { class: "node", tabindex: "0" }, part("title", {}, told.join("\n")), back, fill, name, op));
  });
  return [make("div", { class: "graph", tabindex: "0", role: "region", "aria-label": say(section.title) }, svg)];
}

const KINDS = { bars, lines, treemap, waterfall, histogram };
