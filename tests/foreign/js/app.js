// An HTTP component as its author would write it for any host: the service worker's `fetch` event, nothing of Rimward.
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  switch (url.pathname) {
    case "/echo":
      return new Response(request.body, { headers: { "content-type": request.headers.get("content-type") ?? "text/plain" } });
    case "/fetch": {
      const answer = await fetch(url.searchParams.get("url"));
      return new Response(`${answer.status} ${await answer.text()}`);
    }
    case "/json": {
      const { numbers } = await request.json();
      return Response.json({ sum: numbers.reduce((sum, number) => sum + number, 0) });
    }
    case "/throw":
      throw new Error("on purpose");
    case "/log":
      console.log("a line of JavaScript");
      return new Response("logged");
    default:
      return new Response(`${request.method} ${url.pathname} by JavaScript`);
  }
}
