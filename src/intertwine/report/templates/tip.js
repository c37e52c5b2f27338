// Says where a table is wider than the page, and fades its end until it has been scrolled to.
for (const box of document.querySelectorAll(".scroll")) {
  const mark = () => {
    box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  new ResizeObserver(mark).observe(box);
  box.addEventListener("scroll", mark, { passive: true });
}

// Shows what a cell, heading or dash has to say: on hovering, on a tap, above whatever scrolls.
// Without this script the browser shows the same text as an ordinary title.
const tip = document.body.appendChild(document.createElement("div"));
tip.id = "tip";
tip.setAttribute("role", "tooltip");
tip.hidden = true;
for (const element of document.querySelectorAll("main [title]")) {
  const said = element.title;
  element.setAttribute("aria-description", said);
  element.removeAttribute("title");
  const show = () => {
    tip.textContent = said;
    tip.hidden = false;
    const at = element.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const above = at.top - box.height - 6;
    const left = at.left + at.width / 2 - box.width / 2;
    tip.style.top = `${above > 4 ? above : at.bottom + 6}px`;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - box.width - 8))}px`;
  };
  element.addEventListener("mouseenter", show);
  element.addEventListener("mouseleave", () => { tip.hidden = true; });
  element.addEventListener("click", (event) => { event.stopPropagation(); show(); });
}
const hide = () => { tip.hidden = true; };
document.addEventListener("click", hide);
document.addEventListener("scroll", hide, true);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
