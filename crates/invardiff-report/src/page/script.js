"use strict";
// The page works without this: it adds sorting, values under the pointer, a slider over two images, and enlarged images.
const element = (name, props, ...children) => {
  const made = Object.assign(document.createElement(name), props);
  made.append(...children);
  return made;
};

// Values under the pointer or the keyboard's focus.
const tip = element("div", { className: "tip", role: "status", hidden: true });
document.body.append(tip);
const show = (text, x, y) => {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 12, document.documentElement.clientWidth - width - 4))}px`;
  tip.style.top = `${y - height - 12 < 4 ? y + 16 : y - height - 12}px`;
};
const hide = () => { tip.hidden = true; };
for (const mark of document.querySelectorAll("[data-tip]")) {
  mark.querySelector("title")?.remove();
  const tell = () => {
    const box = mark.getBoundingClientRect();
    show(mark.dataset.tip, box.left + box.width / 2, box.top);
  };
  mark.addEventListener("pointerenter", tell);
  mark.addEventListener("focus", tell);
  mark.addEventListener("pointerleave", hide);
  mark.addEventListener("blur", hide);
}

// A rectangle over a chart of steps: `data-cells` has one row per layer or line, `data-rows` their names.
for (const area of document.querySelectorAll("[data-cells]")) {
  const cells = area.dataset.cells.split(";").map((row) => row.split(","));
  const names = area.dataset.rows.split(";");
  const together = area.dataset.together !== undefined;
  let step = 0;
  let row = 0;
  const tell = () => {
    const box = area.getBoundingClientRect();
    const words = together
      ? `step ${step}: ${cells.map((values, n) => `${names[n]} ${values[step]}`).join(", ")}`
      : `${area.dataset.name}, step ${step}${cells.length > 1 ? `, layer ${row}` : ""}: ${cells[row][step]}`;
    show(words, box.left + ((step + 0.5) * box.width) / cells[0].length,
      together ? box.top : box.top + (row * box.height) / cells.length);
  };
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const at = (place, size, count) => Math.min(count - 1, Math.max(0, Math.floor((place / size) * count)));
    step = at(event.clientX - box.left, box.width, cells[0].length);
    row = at(event.clientY - box.top, box.height, cells.length);
    tell();
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("focus", tell);
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    step = Math.min(cells[0].length - 1, Math.max(0, step + move[0]));
    row = Math.min(cells.length - 1, Math.max(0, row + move[1]));
    tell();
  });
}

// Tables sort by a column; a second press turns the order. Groups give way to one order of all rows.
const value = (cell) => {
  const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  if (text === "equal") return Infinity;
  const number = Number.parseFloat(text.replace(/,/g, ""));
  if (Number.isNaN(number)) return text === "-" ? -Infinity : text;
  const scale = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[text.split(" ")[1]] ?? 1;
  return number * scale;
};
for (const table of document.querySelectorAll("table.results")) {
  const heads = [...table.querySelectorAll("thead th:not([colspan])")];
  for (const head of heads) {
    const button = element("button", { type: "button", className: "sort" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const column = Number(head.dataset.column);
      const rows = [...table.querySelectorAll("tbody tr:not(.group)")];
      for (const row of rows) row.classList.toggle("own", row.parentNode.classList.contains("ours") || row.classList.contains("own"));
      const order = (a, b) => {
        const [one, other] = [value(a.cells[column]), value(b.cells[column])];
        const less = typeof one === typeof other ? one < other : typeof one === "string";
        const more = typeof one === typeof other ? one > other : typeof other === "string";
        return (less ? -1 : more ? 1 : 0) * (down ? -1 : 1);
      };
      rows.sort(order);
      const body = element("tbody", {}, ...rows);
      for (const old of [...table.tBodies]) old.remove();
      table.append(body);
    });
  }
}

// Two images one over the other: a slider, a flicker, and the difference.
for (const grid of document.querySelectorAll("table[data-slider]")) {
  const rows = [...grid.tBodies[0].rows].map((row) => [...row.cells]);
  const [full, plan, difference] = rows;
  const pairs = element("div", { className: "pairs" });
  const stages = [];
  for (let column = 1; column < full.length; column += 1) {
    const image = (cell) => cell.querySelector("img").cloneNode();
    const over = image(plan[column]);
    over.className += " over";
    const stage = element("div", { className: "stage" }, image(full[column]), over);
    if (difference) {
      const shown = image(difference[column]);
      shown.className += " difference";
      stage.append(shown);
    }
    const name = grid.tHead?.rows[0].cells[column]?.textContent ?? `image ${column}`;
    const range = element("input", { type: "range", min: 0, max: 100, value: 50 });
    range.setAttribute("aria-label", `${name}: how much of ${plan[0].textContent} is shown`);
    range.addEventListener("input", () => stage.style.setProperty("--at", `${range.value}%`));
    const caption = plan[column].querySelector(".caption")?.textContent;
    const words = element("figcaption", {}, caption ? `${name}, ${caption}` : name);
    pairs.append(element("figure", { className: "pair" }, stage, range, words));
    stages.push(stage);
  }
  let timer = 0;
  const modes = [["slider", "Slider"], ["flicker", "Flicker"]];
  if (difference) modes.push(["differences", difference[0].textContent]);
  const buttons = modes.map(([mode, label]) => {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", () => {
      clearInterval(timer);
      pairs.dataset.mode = mode;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      if (mode === "flicker") timer = setInterval(() => pairs.classList.toggle("second"), 600);
    });
    button.setAttribute("aria-pressed", String(mode === "slider"));
    return button;
  });
  pairs.dataset.mode = "slider";
  const legend = element("span", {}, `left of the line ${plan[0].textContent}, right of it ${full[0].textContent}`);
  const tools = element("div", { className: "tools" }, ...buttons, legend);
  const place = grid.closest(".scroll");
  place.before(tools, pairs);
  place.hidden = true;
}

// Any image enlarged, without smoothing where it is small.
const large = element("dialog", { className: "large" });
document.body.append(large);
large.addEventListener("click", () => large.close());
for (const image of document.querySelectorAll(".images td img")) {
  const open = () => {
    const cell = image.closest("td");
    if (!cell) return;
    large.replaceChildren(image.cloneNode(), element("p", {}, `${image.alt}${cell.querySelector(".caption") ? `, ${cell.querySelector(".caption").textContent}` : ""}`));
    large.showModal();
  };
  image.tabIndex = 0;
  image.addEventListener("click", open);
  image.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
}

// Families of a study, shown or not.
for (const box of document.querySelectorAll("input[data-section]")) {
  box.addEventListener("change", () => { document.getElementById(box.dataset.section).hidden = !box.checked; });
}
