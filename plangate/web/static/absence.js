// A time that is typed in the reader's own zone is sent in UTC, in the field that it names.
for (const typed of document.querySelectorAll("input[data-in-utc]")) {
  const field = typed.form.elements[typed.dataset.inUtc];
  typed.form.addEventListener("submit", () => {
    const moment = new Date(typed.value);
    field.value = Number.isNaN(moment.getTime()) ? "" : moment.toISOString();
  });
}
