// The live protocol's words, and the line on which they go, with a socket and a clock of the test's own.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Connection } from "../../js/live/connection.js";
import { cameraDocument, canvasFor, lengthened, pathDocument } from "../../js/live/documents.js";
import { hadBegun, isOver } from "../../js/live/plays.js";
import { addressesBelow, decode, decodeChunk, encode, MAX_TEXT_BYTES, ProtocolError } from "../../js/live/protocol.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { sampleDocument } from "../../js/track_editor/document/sampling.js";

const HEADER = { type: "chunk", index: 3, start_frame: 25, sizes: [2, 3], frame_ms: 62.5, reset: false, answers: [] };

function chunkBytes(header, pictures) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array([0, 0, 0, 0, ...text, ...pictures.flat()]);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  return bytes.buffer;
}

test("what the page says is JSON, to a thousandth, and never too long", () => {
  const text = encode({ type: "samples", id: 2, samples: [[1.23456, -0.00001, 99.9999]] });
  assert.equal(text, '{"type":"samples","id":2,"samples":[[1.235,0,100]]}');
  const long = { type: "prompt", text: "ü".repeat(MAX_TEXT_BYTES / 2), blend_chunks: 0 };
  assert.throws(() => encode(long), ProtocolError);
});

test("what the server says is read, later versions' words passed over, broken ones refused", () => {
  assert.deepEqual(decode('{"type":"pong","t_ms":3}'), { type: "pong", t_ms: 3 });
  assert.equal(decode('{"type":"weather"}'), null);
  for (const text of ["", "{", "null", "[]", '{"kind":"pong"}']) assert.throws(() => decode(text), ProtocolError);
});

test("a chunk's header and pictures, and every broken form of them", () => {
  const { header, pictures } = decodeChunk(
    chunkBytes(HEADER, [
      [1, 2],
      [3, 4, 5],
    ]),
  );
  assert.deepEqual(
    [header, pictures.map((each) => [...each])],
    [
      HEADER,
      [
        [1, 2],
        [3, 4, 5],
      ],
    ],
  );
  const broken = [
    new ArrayBuffer(0),
    new Uint8Array([200, 0, 0, 0, 1]).buffer,
    chunkBytes(HEADER, [[1, 2, 3, 4]]),
    chunkBytes(HEADER, [[1, 2, 3, 4, 5, 6]]),
    chunkBytes({ ...HEADER, sizes: [5, 0] }, [[1, 2, 3, 4, 5]]),
    chunkBytes({ ...HEADER, sizes: "2" }, [[1, 2]]),
    chunkBytes({ ...HEADER, frame_ms: -1 }, [[1, 2, 3, 4, 5]]),
    chunkBytes({ ...HEADER, type: "lump" }, [[1, 2, 3, 4, 5]]),
  ];
  for (const bytes of broken) assert.throws(() => decodeChunk(bytes), ProtocolError);
});

test("addresses lie below the page's, with its token, and with no token for others", () => {
  const { socket, current, file } = addressesBelow("https://host/pre/", "t0");
  assert.equal(socket("a b"), "wss://host/pre/motionstream/live/a%20b?token=t0");
  assert.equal(current, "https://host/pre/motionstream/live/current?token=t0");
  assert.equal(file("https://elsewhere/v.mp4"), "https://elsewhere/v.mp4");
  assert.equal(addressesBelow("http://host/api/").socket("x"), "ws://host/api/motionstream/live/x");
});

/** A connection, what it said, and hands on its clock. */
function bench() {
  const made = { sockets: [], heard: [], lines: [], problems: [], timers: [], frames: [], now: 0 };
  const open = (address) => {
    const socket = { address, sent: [], bufferedAmount: 0, send: (text) => socket.sent.push(JSON.parse(text)) };
    socket.close = () => (socket.isClosed = true);
    made.sockets.push(socket);
    return socket;
  };
  const around = {
    open,
    later: (done, ms) => made.timers.push({ done, at: made.now + ms }),
    never: (timer) => delete made.timers[timer - 1],
    nextFrame: (done) => made.frames.push(done),
    now: () => made.now,
  };
  const listener = {
    answer: (answer) => made.heard.push(answer),
    chunk: (header) => made.heard.push(header),
    line: (line) => made.lines.push(line),
    problem: (message) => made.problems.push(message),
  };
  made.connection = new Connection("ws://x/", listener, around);
  made.pass = (ms) => {
    const until = made.now + ms;
    for (;;) {
      const [next] = Object.values(made.timers)
        .filter(({ at, isDone }) => !isDone && at <= until)
        .sort((a, b) => a.at - b.at);
      if (!next) break;
      made.now = Math.max(made.now, next.at);
      next.isDone = true;
      next.done();
    }
    made.now = until;
  };
  made.frame = () => {
    for (const done of made.frames.splice(0)) done();
  };
  made.said = () => made.sockets.at(-1).sent.filter(({ type }) => type !== "ping");
  return made;
}

const GRID = { columns: 2, rows: 2, dx: 4, dy: 4 };

test("places of a hand go once per page frame, its taking and letting go at once and in order", () => {
  const made = bench();
  const { connection, sockets, frame, said } = made;
  sockets[0].onopen();
  connection.begin(0, [[1, 1, 10]], GRID);
  assert.deepEqual(said(), [{ type: "samples", id: 0, grid: GRID, samples: [[1, 1, 10]] }]);
  connection.move(0, [[2, 1, 11]]);
  connection.move(0, [[3, 1, 12]]);
  connection.move(5, [[9, 9, 12]]);
  frame();
  assert.equal(said().length, 1); // the two have to wait for their turn: a server hears so many messages a second
  made.now += 16;
  frame();
  assert.deepEqual(said().slice(1), [
    {
      type: "samples",
      id: 0,
      samples: [
        [2, 1, 11],
        [3, 1, 12],
      ],
    },
    { type: "samples", id: 5, samples: [[9, 9, 12]] },
  ]);
  connection.move(0, [[4, 1, 13]]);
  connection.release(0);
  assert.deepEqual(said().slice(3), [
    { type: "samples", id: 0, samples: [[4, 1, 13]] },
    { type: "release", id: 0 },
  ]);
  connection.move(5, [[8, 8, 14]]);
  assert.ok(connection.say({ type: "pause" }));
  assert.deepEqual(
    said()
      .slice(5)
      .map(({ type }) => type),
    ["samples", "pause"],
  );
});

test("on a line that is slower than the hand the newest places win", () => {
  const { connection, sockets, frame, said } = bench();
  sockets[0].onopen();
  sockets[0].bufferedAmount = 1e6;
  for (let i = 0; i < 700; i++) connection.move(1, [[i, 0, i]]);
  frame();
  assert.equal(said().length, 0);
  sockets[0].bufferedAmount = 0;
  frame();
  const [{ samples }] = said();
  assert.deepEqual([samples.length, samples[0][0], samples.at(-1)[0]], [512, 188, 699]);
});

test("a lost line is sought again, ever later, until the server greets", () => {
  const made = bench();
  const { connection, sockets, lines, pass } = made;
  sockets[0].onopen();
  connection.move(1, [[1, 1, 1]]);
  connection.release(1);
  connection.move(2, [[1, 1, 1]]);
  sockets[0].onclose({ code: 1006, reason: "" });
  assert.equal(connection.say({ type: "start" }), false);
  connection.release(2);
  const waits = [];
  for (let i = 0; i < 7; i++) {
    const before = made.now;
    while (sockets.length < i + 2) pass(10);
    waits.push(made.now - before);
    if (i < 6) sockets.at(-1).onclose({ code: 1006, reason: "" });
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 8000]);
  sockets.at(-1).onopen();
  assert.deepEqual(made.said(), [{ type: "release", id: 2 }]); // that it was let go is still true, where it was is not
  sockets.at(-1).onmessage({ data: '{"type":"hello"}' });
  assert.equal(connection.failures, 0);
  assert.deepEqual([...new Set(lines)], ["connecting", "open", "lost"]);
});

test("a line on which nothing comes is dropped, one that the server closes with a reason is not sought again", () => {
  const made = bench();
  const { connection, sockets, pass } = made;
  sockets[0].onopen();
  pass(2000);
  sockets[0].onmessage({ data: JSON.stringify({ type: "pong", t_ms: made.now - 30 }) });
  assert.equal(connection.tripMs, 30);
  pass(20_000);
  assert.ok(sockets[0].isClosed && sockets.length > 1);
  sockets.at(-1).onclose({ code: 4404, reason: "There is no such session" });
  const count = sockets.length;
  pass(60_000);
  assert.deepEqual([connection.line, sockets.length], ["closed", count]);
});

test("words that are not understood are a problem, not the end", () => {
  const { sockets, problems, heard } = bench();
  sockets[0].onopen();
  sockets[0].onmessage({ data: "{" });
  sockets[0].onmessage({ data: new ArrayBuffer(2) });
  sockets[0].onmessage({
    data: chunkBytes(HEADER, [
      [1, 2],
      [3, 4, 5],
    ]),
  });
  assert.equal(problems.length, 2);
  assert.equal(heard[0].index, 3);
});

const SESSION = { width: 128, height: 96, fps: 16 };

test("a path is sent alone and plays over the seconds asked for", () => {
  const canvas = canvasFor(SESSION, 3);
  assert.equal(canvas.num_frames, 49);
  const track = {
    id: "t7",
    kind: "path",
    interpolation: "linear",
    points: [
      [1, 2],
      [9, 2],
    ],
    start: 200,
    duration: 48,
  };
  const { tracks } = parseDocument(JSON.stringify(pathDocument(track, canvas)), canvas);
  assert.deepEqual(tracks, [{ ...track, start: 0 }]);
});

test("the camera's moves take points of the whole frame along", () => {
  const canvas = canvasFor(SESSION, 1);
  const moves = [{ move: "truck", amount: 0.25, start: 0, duration: 16 }];
  const paths = sampleDocument(parseDocument(JSON.stringify(cameraDocument(moves, canvas)), canvas));
  assert.equal(paths.length, 88);
  for (const path of paths) {
    const [from, to] = [path[0], path.at(-1)];
    // A quarter of the picture's distance to the right: all of it goes a quarter of its width to the left.
    assert.ok(Math.abs(to.x - from.x + 32) < 1e-6 && Math.abs(to.y - from.y) < 1e-6);
  }
});

test("another length scales the moves alone; a play is over when it has played, or when the stream went back", () => {
  const track = { id: "a", kind: "anchor", interpolation: "linear", points: [[1, 2]], start: 0, duration: 0 };
  const moves = [{ move: "pan", amount: 5, start: 0, duration: 48 }];
  const longer = lengthened({ canvas: canvasFor(SESSION, 3), tracks: [track], camera: moves }, canvasFor(SESSION, 6));
  assert.deepEqual([longer.tracks, longer.camera[0].duration, longer.canvas.num_frames], [[track], 96, 97]);
  const play = { track: "a", moves: [], start: 20, duration: 48 };
  assert.deepEqual(
    [10, 67, 68].map((frame) => isOver(play, frame)),
    [false, false, true],
  );
  assert.deepEqual(
    [10, 20, 21].map((numFrames) => hadBegun(play, numFrames)),
    [false, false, true],
  );
});
