// Show a time in UTC in the reader's zone, and send what is typed in that zone as UTC, in the field with the name in
// `data-in-utc`. A day without a time means its last minute.
for (const typed of document.querySelectorAll("input[data-in-utc]")) {
  const field = typed.form.elements[typed.dataset.inUtc];
  const initial = new Date(`${typed.defaultValue}Z`);
  if (typed.type !== "date" && typed.value === typed.defaultValue && !Number.isNaN(initial.getTime())) {
    const local = new Date(initial.getTime() - initial.getTimezoneOffset() * 60_000);
    typed.value = local.toISOString().slice(0, "2026-11-30T09:00".length);
  }
  typed.form.addEventListener("submit", () => {
    const moment = new Date(typed.type === "date" ? `${typed.value}T23:59` : typed.value);
    field.value = Number.isNaN(moment.getTime()) ? "" : moment.toISOString();
  });
}
