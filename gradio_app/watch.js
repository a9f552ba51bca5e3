// Looks whether this page's own server answers. While it does not, the page says so and that what it
// shows is old; when it is back, the page is loaded anew: sessions and toasts of before are of no use.
(() => {
  const every = 2000;
  const misses = 2; // one alone is a laptop that has just woken up
  let missed = 0;
  let awaySince = null;

  const answers = async () => {
    try {
      const answer = await fetch("@prefix@/live", {
        cache: "no-store",
        redirect: "manual", // to a login that has ended: somebody answers
        signal: AbortSignal.timeout(4000),
      });
      return answer.status < 500; // a proxy before a server that is away says 502, 503 or 504
    } catch (error) {
      return false;
    }
  };

  const show = () => {
    const chip = document.querySelector(".bw-status .bw-chip");
    if (chip) {
      chip.className = "bw-chip bw-wrong";
      chip.lastChild.textContent = "Not reachable";
    }
    if (document.getElementById("bw-away")) return;
    const bar = document.createElement("p");
    bar.id = "bw-away";
    bar.className = "bw-banner bw-warn";
    bar.setAttribute("role", "alert");
    const head = document.createElement("b");
    head.textContent = "This page's server does not answer. ";
    const since = awaySince.toLocaleTimeString();
    bar.append(head, `What you see is of before ${since}. The page asks again and goes on by itself.`);
    document.body.prepend(bar);
  };

  const look = async () => {
    if (await answers()) {
      if (awaySince) return location.reload();
      missed = 0;
    } else if (++missed >= misses) {
      awaySince ??= new Date();
      document.body.classList.add("bw-unreachable");
      show();
    }
    setTimeout(look, every);
  };
  setTimeout(look, every);
})();
