// Collapse long sections. A section counts as opened, and its field is sent, once its end was on the screen.
const folds = [...document.querySelectorAll("details[data-fold]")];
const left = document.querySelector("[data-folds-left]");

let isRecorded = false;  // whether the server has recorded that every section was opened

// Auditors see which plans a person decided on without opening every section. A plan whose sections were all opened
// may be approved together with others. The page does not wait for these requests.
async function record() {
  const form = document.getElementById("decide");
  if (!form || !form.dataset.opened) return;
  const body = new URLSearchParams(new FormData(form));
  body.delete("comment");
  const answer = await fetch(form.dataset.opened, { method: "POST", body, redirect: "error", keepalive: true });
  if (!answer.ok) throw new Error(answer.statusText);
}

function recordAll() {
  if (isRecorded || folds.length === 0) return;
  isRecorded = true;
  record().catch(() => { isRecorded = false; });
}

function labelFor(texts, files) {
  const words = left.dataset;
  if (texts && files) return words.both.replace("{texts}", texts).replace("{files}", files);
  if (files) return (files === 1 ? words.fileOne : words.fileOther).replace("{number}", files);
  return (texts === 1 ? words.one : words.other).replace("{number}", texts);
}

function update() {
  const closed = folds.filter((fold) => fold.querySelector("input[name=opened]").disabled);
  if (closed.length === 0) recordAll();
  if (!left) return;
  left.hidden = closed.length === 0;
  const files = closed.filter((fold) => fold.dataset.file).length;
  if (closed.length) left.querySelector("button").textContent = labelFor(closed.length - files, files);
  left.querySelector("button").onclick = () => {
    const next = closed[0];
    if (next.open && needsDownload(next)) {
      next.querySelector("[data-takes]").focus();  // continue only once the person has the file
      return;
    }
    if (next.open) {
      window.scrollBy(0, window.innerHeight / 2);  // scroll within the text, not past it
      return;
    }
    next.open = true;
    next.scrollIntoView({ block: "start" });
    next.querySelector("summary").focus();
  };
}

// The page shows images whole. Of other files it detects only that the person opened or downloaded them.
function needsDownload(fold) {
  return fold.dataset.file === "pdf" || fold.dataset.file === "other";
}

function markOpened(fold) {
  const field = fold.querySelector("input[name=opened]");
  if (field.disabled) {
    field.disabled = false;
    if (folds.some((one) => one.querySelector("input[name=opened]").disabled)) record().catch(() => {});
  }
  update();  // report the last one
}

function markOpenedInside(fold) {
  const inside = fold.querySelector("input[name=inside]");
  if (inside) inside.disabled = false;
  markOpened(fold);
}

for (const fold of folds) {
  const field = fold.querySelector("input[name=opened]");
  field.disabled = fold.dataset.had === undefined;
  fold.open = false;
  if (needsDownload(fold)) {
    for (const link of fold.querySelectorAll("[data-takes]")) {
      for (const press of ["click", "auxclick"]) link.addEventListener(press, () => markOpened(fold));
    }
    continue;
  }
  const end = fold.appendChild(document.createElement("span"));
  end.className = "end";
  new IntersectionObserver((seen) => {
    if (fold.open && seen.some((one) => one.isIntersecting)) markOpened(fold);
    else update();
  }).observe(end);
}
// The page cannot detect what happens inside a frame, only that the frame has the focus.
window.addEventListener("blur", () => {
  const fold = document.activeElement.closest("details[data-file=pdf]");
  if (document.activeElement.tagName === "IFRAME" && fold) markOpenedInside(fold);
});
update();
