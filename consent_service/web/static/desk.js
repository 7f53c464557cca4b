"use strict";
// Shows what a choice would come to while it is made. The service reckons it: the page that its button "look at the
// changes" leads to, of which the parts are put here. Without this all works the same, with one more page.
{
  const desk = document.getElementById("desk");
  const parts = ["outlook", "changes"].map((id) => document.getElementById(id));
  const before = parts[0].innerHTML;
  let asked = 0, timer = 0;

  const isChanged = () => [...desk.elements].some((one) => one.checked !== undefined && one.checked !== one.defaultChecked);

  const look = async (turn) => {
    const answer = await fetch(desk.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(desk)) });
    const text = await answer.text();
    if (!answer.ok || turn !== asked) return;
    const page = new DOMParser().parseFromString(text, "text/html");
    desk.dataset.louder = page.getElementById("louder") ? "yes" : "no";
    for (const one of parts) {
      const found = page.getElementById(one.id);
      if (found) one.replaceChildren(...found.childNodes);
    }
  };

  desk.addEventListener("change", () => {
    const turn = ++asked;  // what was asked before, and is not answered yet, is of no interest any more
    clearTimeout(timer);
    delete desk.dataset.louder;
    if (isChanged()) {
      timer = setTimeout(() => look(turn).catch(() => {}), 120);
    } else {
      parts[0].innerHTML = before;
      parts[1].replaceChildren();
    }
  });
}
