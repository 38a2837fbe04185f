// Close long texts. A fold counts as opened once its end was on the screen, and only then its field is sent.
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

function tell() {
  const closed = folds.filter((fold) => fold.querySelector("input[name=opened]").disabled);
  if (closed.length === 0) tellRead().catch(() => { isToldRead = false; });
  if (!left) return;
  left.hidden = closed.length === 0;
  const words = closed.length === 1 ? left.dataset.one : left.dataset.other;
  left.querySelector("button").textContent = words.replace("{number}", closed.length);
  left.querySelector("button").onclick = () => {
    if (closed[0].open) {
      window.scrollBy(0, window.innerHeight / 2);  // on through the text, not past it
      return;
    }
    closed[0].open = true;
    closed[0].scrollIntoView({ block: "start" });
    closed[0].querySelector("summary").focus();
  };
}

// Auditors see who never opened what they decided on; nothing waits for this.
function note(name) {
  const form = document.getElementById("decide");
  if (!form || !form.dataset.opened) return;
  const body = new URLSearchParams({
    form_token: form.elements.form_token.value, plan: form.elements.plan.value, opened: name,
  });
  fetch(form.dataset.opened, { method: "POST", body, keepalive: true }).catch(() => {});
}

for (const fold of folds) {
  const field = fold.querySelector("input[name=opened]");
  field.disabled = true;
  fold.open = false;
  const end = fold.appendChild(document.createElement("span"));
  end.className = "end";
  new IntersectionObserver((seen) => {
    if (field.disabled && fold.open && seen.some((one) => one.isIntersecting)) {
      field.disabled = false;
      note(field.value);
    }
    tell();
  }).observe(end);
}
tell();
