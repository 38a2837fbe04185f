// Count down the seconds until a time; people who cannot see the countdown have the time itself.
// A time more than a day away is shown in full, without a countdown.
const DAY = 24 * 60 * 60;
for (const time of document.querySelectorAll("time[data-countdown]")) {
  const until = new Date(time.dateTime).getTime();
  const said = time.textContent;
  time.title = said;
  const draw = () => {
    const left = Math.max(0, Math.round((until - Date.now()) / 1000));
    const hours = Math.floor(left / 3600);
    const minutes = Math.floor(left / 60) % 60;
    const seconds = String(left % 60).padStart(2, "0");
    const short = `${minutes}:${seconds}`;
    const long = `${hours}:${String(minutes).padStart(2, "0")}:${seconds}`;
    time.textContent = left > DAY ? said : hours ? long : short;
    if (left === 0) clearInterval(ticking);
  };
  const ticking = setInterval(draw, 1000);
  draw();
}
