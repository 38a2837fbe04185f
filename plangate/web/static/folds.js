// Close long texts. A fold counts as opened once it was open, and only then its field is sent with the form.
const folds = [...document.querySelectorAll("details[data-fold]")];
const left = document.querySelector("[data-folds-left]");

function tell() {
  const closed = folds.filter((fold) => fold.querySelector("input[name=opened]").disabled);
  if (!left) return;
  left.hidden = closed.length === 0;
  const words = closed.length === 1 ? left.dataset.one : left.dataset.other;
  left.querySelector("button").textContent = words.replace("{number}", closed.length);
  left.querySelector("button").onclick = () => {
    closed[0].open = true;
    closed[0].scrollIntoView({ block: "start" });
    closed[0].querySelector("summary").focus();
  };
}

for (const fold of folds) {
  const field = fold.querySelector("input[name=opened]");
  field.disabled = true;
  fold.open = false;
  fold.addEventListener("toggle", () => {
    if (fold.open) field.disabled = false;
    tell();
  });
}
tell();
