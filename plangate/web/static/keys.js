// Keyboard shortcuts: j and k choose, Enter opens, n opens the next fold, a goes to Approve, r, c and e decide,
// ? lists them. They are off while a person types.
const places = [...document.querySelectorAll(".runs a, section.step")];
const help = document.querySelector("dialog.keys");
const decisions = { r: "reject", c: "request_changes", e: "edit" };
let chosen = -1;

function choose(number) {
  if (!places.length) return;
  chosen = Math.max(0, Math.min(places.length - 1, number));
  const place = places[chosen];
  if (place.localName === "section") place.tabIndex = -1;
  place.focus();
  place.scrollIntoView({ block: place.localName === "section" ? "start" : "nearest" });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "?") {
    if (help.open) help.close();
    else help.showModal();
  } else if (help.open) {
    return;
  } else if (event.key === "j") choose(chosen + 1);
  else if (event.key === "k") choose(chosen - 1);
  else if (event.key === "n") document.querySelector("[data-folds-left]:not([hidden]) button")?.click();
  else if (event.key === "a") document.querySelector("button.approve")?.focus();
  else if (event.key in decisions) {
    const name = decisions[event.key];
    const button = document.querySelector(`button[value="${name}"], button[form="${name}"]`);
    if (button) button.click();
  } else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-show-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}
