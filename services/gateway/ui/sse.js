// Reading text/event-stream from fetch(): EventSource cannot send the Authorization header.

/**
 * Yields `{event, data}` for each event of a response body, and `{event: "heartbeat"}` for each comment line.
 * Fields as in the HTML standard; lines end with LF or CRLF.
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "message";
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (data.length) yield { event, data: data.join("\n") };
        event = "message";
        data = [];
      } else if (line.startsWith(":")) yield { event: "heartbeat" };
      else if (line.startsWith("data:")) data.push(fieldValue(line, 5));
      else if (line.startsWith("event:")) event = fieldValue(line, 6);
    }
  }
}

const fieldValue = (line, at) => line.slice(line[at] === " " ? at + 1 : at);
