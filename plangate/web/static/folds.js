// Close long texts. A fold counts as opened, and its field is sent, once its end was on the screen.
const folds = [...document.querySelectorAll("details[data-fold]")];
const left = document.querySelector("[data-folds-left]");

const read = document.querySelector("[data-read]");
let isToldRead = false;

// Once every fold was read, the plan may be approved together with others.
async function tellRead() {
  if (!read || isToldRead) return;
  isToldRead = true;
  const body = new URLSearchParams(new FormData(document.getElementById("decide")));
  const answer = await fetch(read.dataset.read, { method: "POST", body, redirect: "error" });
  isToldRead = answer.ok;
}

function wordsOf(texts, files) {
  const words = left.dataset;
  if (texts && files) return words.both.replace("{texts}", texts).replace("{files}", files);
  if (files) return (files === 1 ? words.fileOne : words.fileOther).replace("{number}", files);
  return (texts === 1 ? words.one : words.other).replace("{number}", texts);
}

function tell() {
  const closed = folds.filter((fold) => fold.querySelector("input[name=opened]").disabled);
  if (closed.length === 0) tellRead().catch(() => { isToldRead = false; });
  if (!left) return;
  left.hidden = closed.length === 0;
  const files = closed.filter((fold) => fold.dataset.file).length;
  if (closed.length) left.querySelector("button").textContent = wordsOf(closed.length - files, files);
  left.querySelector("button").onclick = () => {
    const next = closed[0];
    if (next.open && isTaken(next)) {
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

// The page shows images whole. For other files it knows only that the reader had them.
function isTaken(fold) {
  return fold.dataset.file === "pdf" || fold.dataset.file === "other";
}

// Auditors see who never opened what they decided on; nothing waits for this request.
function note(name) {
  const form = document.getElementById("decide");
  if (!form || !form.dataset.opened) return;
  const body = new URLSearchParams({
    form_token: form.elements.form_token.value, plan: form.elements.plan.value, opened: name,
  });
  fetch(form.dataset.opened, { method: "POST", body, keepalive: true }).catch(() => {});
}

function count(fold) {
  const field = fold.querySelector("input[name=opened]");
  if (field.disabled) {
    field.disabled = false;
    note(field.value);
  }
  tell();
}

function countInside(fold) {
  const inside = fold.querySelector("input[name=inside]");
  if (inside) inside.disabled = false;
  count(fold);
}

for (const fold of folds) {
  const field = fold.querySelector("input[name=opened]");
  field.disabled = fold.dataset.had === undefined;
  fold.open = false;
  if (isTaken(fold)) {
    for (const link of fold.querySelectorAll("[data-takes]")) {
      for (const press of ["click", "auxclick"]) link.addEventListener(press, () => count(fold));
    }
    continue;
  }
  const end = fold.appendChild(document.createElement("span"));
  end.className = "end";
  new IntersectionObserver((seen) => {
    if (fold.open && seen.some((one) => one.isIntersecting)) count(fold);
    else tell();
  }).observe(end);
}
// The page cannot see what happens inside a frame, only that the reader went in.
window.addEventListener("blur", () => {
  const fold = document.activeElement.closest("details[data-file=pdf]");
  if (document.activeElement.tagName === "IFRAME" && fold) countInside(fold);
});
tell();
