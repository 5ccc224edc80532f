// A read as others write it: for the shell, and in each SDK; with this sidecar's own ports.
import { about } from "./api.js";
import { visible } from "./format.js";

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const quoted = (text) => JSON.stringify(text);
const encoded = (text) => encodeURIComponent(text.toWellFormed?.() ?? text);

function token(as) {
  return about.get()?.tokenNeeded ? as : "";
}

/** How to read one key: [name, code]. */
export function reading(store, key) {
  const { httpPort = 3500, grpcPort = 50001 } = about.get() ?? {};
  const http = `http://localhost:${httpPort}/v1.0/state/${encoded(store)}/${encoded(key)}`;
  return [
    ["curl", `curl ${token('-H "dapr-api-token: $DAPR_API_TOKEN" ')}${shell(http)}`],
    [
      "grpcurl",
      `grpcurl -plaintext ${token('-H "dapr-api-token: $DAPR_API_TOKEN" ')}-d ${shell(JSON.stringify({ storeName: store, key }))} \\\n  localhost:${grpcPort} dapr.proto.runtime.v1.Dapr/GetState`,
    ],
    ["Python", `from dapr.clients import DaprClient\n\nwith DaprClient("localhost:${grpcPort}") as client:\n    state = client.get_state(${quoted(store)}, ${quoted(key)})\n    print(state.data, state.etag)`],
    ["JavaScript", `import { DaprClient } from "@dapr/dapr";\n\nconst client = new DaprClient({ daprHost: "localhost", daprPort: "${httpPort}" });\nconsole.log(await client.state.get(${quoted(store)}, ${quoted(key)}));`],
    ["Go", `client, err := dapr.NewClientWithPort("${grpcPort}")\nif err != nil {\n\tlog.Fatal(err)\n}\nitem, err := client.GetState(ctx, ${quoted(store)}, ${quoted(key)}, nil)`],
    ["Java", `try (var client = new DaprClientBuilder().build()) {\n    var state = client.getState(${quoted(store)}, ${quoted(key)}, String.class).block();\n    System.out.println(state.getValue() + " " + state.getEtag());\n}`],
  ];
}

/** The three first calls, for a store in which there is nothing yet. */
export function first(store, appId) {
  const { httpPort = 3500, grpcPort = 50001 } = about.get() ?? {};
  const header = token('-H "dapr-api-token: $DAPR_API_TOKEN" ');
  const base64 = btoa('"hello"');
  return [
    ["curl", `curl -X POST ${header}localhost:${httpPort}/v1.0/state/${encoded(store)} \\\n  -d '[{"key":"greeting","value":"hello"}]'`],
    ["grpcurl", `grpcurl -plaintext ${header}-d '{"storeName":${quoted(visible(store))},"states":[{"key":"greeting","value":"${base64}"}]}' \\\n  localhost:${grpcPort} dapr.proto.runtime.v1.Dapr/SaveState`],
    ["Python", `from dapr.clients import DaprClient\n\nwith DaprClient("localhost:${grpcPort}") as client:  # ${visible(appId)}\n    client.save_state(${quoted(store)}, "greeting", "hello")`],
  ];
}

/** A call of an actor's method. */
export function invoking(type, id) {
  const { httpPort = 3500 } = about.get() ?? {};
  return [["curl", `curl -X POST ${token('-H "dapr-api-token: $DAPR_API_TOKEN" ')}${shell(`http://localhost:${httpPort}/v1.0/actors/${encoded(type)}/${encoded(id)}/method/METHOD`)}`]];
}

/** A call that was seen, as far as it is known: values are not. */
export function repeating(event) {
  const { httpPort = 3500, grpcPort = 50001 } = about.get() ?? {};
  const header = token('-H "dapr-api-token: $DAPR_API_TOKEN" ');
  const [store, key] = event.target?.split(/\/(.*)/s) ?? [];
  if (event.operation === "GetState" && key) return reading(store, key);
  return [
    ["grpcurl", `grpcurl -plaintext ${header}-d @ localhost:${grpcPort} dapr.proto.runtime.v1.Dapr/${event.operation} < request.json`],
    ["curl", `curl ${header}localhost:${httpPort}/v1.0/metadata`],
  ];
}
