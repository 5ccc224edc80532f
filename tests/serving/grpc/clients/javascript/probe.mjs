// Calls of all kinds by grpc-js; prints one line per finding: name, tab, JSON.
import grpc from "@grpc/grpc-js";

const client = new grpc.Client(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": -1,
});
const path = (method) => `/test.Probe/${method}`;
const same = (bytes) => bytes;
const text = (value) => Buffer.from(String(value));

function found(name, value) {
  console.log(`${name}\t${JSON.stringify(value)}`);
}

function unary(method, request, options = {}, metadata = new grpc.Metadata()) {
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest(path(method), same, same, request, metadata, options, (error, answer) =>
      resolve(error ? [grpc.status[error.code], error.details] : answer.length < 100 ? answer.toString() : answer.length),
    );
    if (options.cancel) setTimeout(() => call.cancel(), options.cancel);
  });
}

function collect(call) {
  return new Promise((resolve) => {
    const answers = [];
    call.on("data", (answer) => answers.push(answer.length));
    call.on("error", (error) => resolve([grpc.status[error.code], answers.length]));
    call.on("end", () => resolve(answers));
  });
}

found("unary", await unary("echo", text("hello")));
found("large", await unary("echo", Buffer.alloc(4_000_000)));
found("too large", await unary("echo", Buffer.alloc(4_194_305)));
found("abort", await unary("abort", text("größer")));
found("deadline", (await unary("hang", text("js"), { deadline: Date.now() + 200 }))[0]);
found("cancel", (await unary("hang", text("js"), { cancel: 50 }))[0]);
found("parallel", (await Promise.all([...Array(1000).keys()].map((n) => unary("later", text(n))))).join() ===
  [...Array(1000).keys()].join());
found("server stream", (await collect(client.makeServerStreamRequest(path("many"), same, same, text(2000)))).length);

const total = await new Promise((resolve) => {
  const call = client.makeClientStreamRequest(path("total"), same, same, (error, answer) => resolve(error ?? answer.toString()));
  for (let n = 0; n < 100; n++) call.write(Buffer.alloc(10_000));
  call.end();
});
found("client stream", total);

const chat = client.makeBidiStreamRequest(path("chat"), same, same);
const answers = collect(chat);
for (const size of [1, 100_000, 0, 5]) chat.write(Buffer.alloc(size));
chat.end();
found("both stream", await answers);

const metadata = new grpc.Metadata();
metadata.set("key-bin", Buffer.from([0, 255]));
found("metadata", await new Promise((resolve) => {
  const call = client.makeUnaryRequest(path("metadata"), same, same, text(""), metadata, () => {});
  call.on("status", (status) => resolve(status.metadata.get("last-bin")[0].toString("hex")));
}));
client.close();
