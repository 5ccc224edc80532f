// An application of the official JavaScript SDK. The ports come from the environment, as Dapr sets them.
import dapr from "@dapr/dapr";

const { AbstractActor, ActorId, ActorProxyBuilder, CommunicationProtocolEnum, DaprServer, Temporal } = dapr;

class Basket extends AbstractActor {
  async add(number) {
    const value = (await this.value()) + number;
    await this.getStateManager().setState("value", value);
    return value;
  }

  async value() {
    const [found, value] = await this.getStateManager().tryGetState("value");
    return found ? value : 0;
  }

  async fail() {
    throw new Error("on purpose");
  }

  async forget() {
    await this.getStateManager().removeState("value");
  }

  // through the SDK's own client, to another actor
  async addTo(name, number) {
    const other = new ActorProxyBuilder(Basket, this.getDaprClient()).build(new ActorId(name));
    return other.add(number);
  }

  async remind(name) {
    await this.registerActorReminder(name, seconds(0.05), seconds(3600), undefined, "tea");
  }

  async stopReminding(name) {
    await this.unregisterActorReminder(name);
  }

  async time(data) {
    await this.registerActorTimer("t", "onTimer", seconds(0.05), seconds(3600), undefined, data);
  }

  async onTimer(data) {
    await this.note(["timer", data]);
    await this.unregisterActorTimer("t");
  }

  async receiveReminder(data) {
    await this.note(["reminder", data]);
  }

  async fired() {
    const [found, fired] = await this.getStateManager().tryGetState("fired");
    return found ? fired : [];
  }

  async note(what) {
    await this.getStateManager().setState("fired", [...(await this.fired()), what]);
    await this.getStateManager().saveState();
  }
}

function seconds(number) {
  return Temporal.Duration.from({ milliseconds: number * 1000 });
}

const server = new DaprServer({
  serverHost: "127.0.0.1",
  serverPort: process.env.APP_PORT,
  communicationProtocol: CommunicationProtocolEnum.HTTP,
  clientOptions: {
    daprHost: "127.0.0.1",
    daprPort: process.env.DAPR_HTTP_PORT,
    communicationProtocol: CommunicationProtocolEnum.HTTP,
  },
});
await server.actor.init();
await server.actor.registerActor(Basket);
await server.start();
