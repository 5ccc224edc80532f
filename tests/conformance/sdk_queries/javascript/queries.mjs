// What an application asks with the official SDK; it prints what it saw as JSON. Arguments: gRPC port, HTTP port, store.
import { CommunicationProtocolEnum, DaprClient } from "@dapr/dapr";

const [grpcPort, httpPort, store] = process.argv.slice(2);
const protocols = [
  [CommunicationProtocolEnum.GRPC, grpcPort],
  [CommunicationProtocolEnum.HTTP, httpPort],
];
const all = [];
for (const [communicationProtocol, daprPort] of protocols) {
  const client = new DaprClient({ daprHost: "127.0.0.1", daprPort, communicationProtocol });
  const seen = { keys: [], data: [] };
  let token = "";
  for (;;) {
    const page = await client.state.query(store, {
      filter: { EQ: { city: "Bern" } },
      sort: [{ key: "total", order: "DESC" }],
      page: { limit: 1, token },
    });
    if (!page?.results?.length) break;
    for (const each of page.results) {
      seen.keys.push(each.key);
      // over gRPC this SDK gives octets
      seen.data.push(each.data instanceof Uint8Array ? JSON.parse(Buffer.from(each.data)) : each.data);
    }
    token = page.token;
  }
  try {
    await client.state.query(store, { filter: { FOO: 1 } });
    seen.refused = "";
  } catch (error) {
    seen.refused = String(error.message ?? error);
  }
  all.push(seen);
  await client.stop();
}
console.log(JSON.stringify(all));
process.exit(0);
