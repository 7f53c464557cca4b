"use strict";
// Shows what a choice would come to while it is made. The service reckons it: the page that its button "look at the
// changes" leads to, of which the parts are put here. Without this all works the same, with one more page.
{
  const desk = document.getElementById("desk");
  const parts = ["outlook", "changes"].map((id) => document.getElementById(id));
  const before = parts[0].innerHTML;
  let asked = 0, timer = 0;

  const isChanged = () => [...desk.elements].some((one) => one.checked !== undefined && one.checked !== one.defaultChecked);

  const look = async () => {
    const turn = ++asked;
    const answer = await fetch(desk.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(desk)) });
    if (!answer.ok || turn !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    desk.dataset.louder = page.getElementById("louder") ? "yes" : "no";
    for (const one of parts) {
      const found = page.getElementById(one.id);
      if (found) one.replaceChildren(...found.childNodes);
    }
  };

  desk.addEventListener("change", () => {
    clearTimeout(timer);
    if (isChanged()) {
      delete desk.dataset.louder;
      timer = setTimeout(() => look().catch(() => delete desk.dataset.louder), 120);
    } else {
      asked++;
      parts[0].innerHTML = before;
      parts[1].replaceChildren();
      delete desk.dataset.louder;
    }
  });
}
