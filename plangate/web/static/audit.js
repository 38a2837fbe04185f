// Show the progress of a verification, and load its result at the end.
const state = document.querySelector("[data-progress]");
const bar = document.querySelector("progress");
const source = new EventSource(state.dataset.progress);
source.addEventListener("progress", (event) => {
  const { percent } = JSON.parse(event.data);
  state.textContent = state.dataset.words.replace("{percent}", percent);
  bar.value = percent;
});
source.addEventListener("ended", () => {
  source.close();
  location.reload();
});
