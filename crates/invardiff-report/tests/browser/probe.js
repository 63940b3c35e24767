"use strict";
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)));
const probe = () => {
  const width = document.documentElement.clientWidth;
  const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const name = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""} ${(e.textContent ?? "").trim().slice(0, 30)}`;
  const cut = [];
  if (document.documentElement.scrollWidth > width) cut.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("dialog, .tip, defs") || getComputedStyle(e).clipPath !== "none") continue;
    const box = e.getBoundingClientRect();
    if (box.width > 0 && (box.left < -1 || box.right > width + 1)) cut.push(name(e));
    if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "auto") cut.push(`${name(e)} scrolls`);
  }
  const covered = [];
  for (const drawing of document.querySelectorAll("svg.figure")) {
    if (!shown(drawing)) continue;
    const boxes = [...drawing.querySelectorAll("text")].map((e) => [e, e.getBoundingClientRect()]);
    boxes.forEach(([one, a], n) => {
      for (const [other, b] of boxes.slice(n + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 3) covered.push(`${one.textContent} | ${other.textContent}`);
      }
    });
  }
  // Contrast by WCAG 2: 4.5 for text, against the nearest background that is painted.
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !shown(e) || e.closest("script, style, dialog, title")) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.tagName === "text" ? style.fill : style.color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${name(e)} ${contrast.toFixed(2)}`);
  }
  const named = [...document.querySelectorAll(".probe[data-name='step gate']")].find(shown);
  named?.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const tip = document.querySelector(".tip")?.textContent ?? "";
  const button = [...document.querySelectorAll("button.sort")].find((e) => e.textContent === "Compute");
  button?.click();
  const order = [...document.querySelectorAll(".results tbody tr:not(.group) td:nth-child(2)")].map((e) => Number.parseFloat(e.dataset.value));
  parent.postMessage({
    width, cut, covered, faint, errors, tip, dark: matchMedia("(prefers-color-scheme: dark)").matches,
    families: document.querySelectorAll(".families input").length,
    sliders: document.querySelectorAll(".pair input").length,
    sorted: order.length > 2 && order.every((value, n) => n === 0 || order[n - 1] >= value),
  }, "*");
};
if (document.readyState === "complete") probe(); else addEventListener("load", probe);
