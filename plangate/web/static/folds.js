// Close long texts. A fold counts as opened once it was open, and only then its field is sent with the form.
for (const fold of document.querySelectorAll("details[data-fold]")) {
  const field = fold.querySelector("input[name=opened]");
  field.disabled = true;
  fold.open = false;
  fold.addEventListener("toggle", () => {
    if (fold.open) field.disabled = false;
  });
}
