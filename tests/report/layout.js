// How the page is laid out: charts that are drawn, width, the first screen, links.
document.querySelectorAll(".chart").forEach((chart) => chart.scrollIntoView());
charts.forEach((entry) => entry.instance || entry.draw());
return {
  charts: [...document.querySelectorAll(".chart")].map((c) => c.querySelectorAll("svg path, svg rect").length),
  nodes: document.querySelectorAll("#graph .node").length,
  edges: document.querySelectorAll("#graph .edge").length,
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  first: document.getElementById("next").getBoundingClientRect().bottom,
  links: [...document.querySelectorAll("nav a, a.card")].map((a) => document.querySelector(a.getAttribute("href")) !== null),
};
