// Count the seconds down until a time; a person who cannot see that change has the time itself.
for (const time of document.querySelectorAll("time[data-countdown]")) {
  const until = new Date(time.dateTime).getTime();
  time.title = time.textContent;
  const draw = () => {
    const left = Math.max(0, Math.round((until - Date.now()) / 1000));
    time.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left === 0) clearInterval(ticking);
  };
  const ticking = setInterval(draw, 1000);
  draw();
}
