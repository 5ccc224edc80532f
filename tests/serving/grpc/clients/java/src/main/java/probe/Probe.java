package probe;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Calls of all kinds by grpc-java on netty; prints one line per finding: name, tab, JSON. */
final class Probe {
  private static ManagedChannel channel;

  private static final class Raw implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ByteArrayInputStream(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  private static ClientCall<byte[], byte[]> call(String method, MethodType type, CallOptions options) {
    var descriptor = MethodDescriptor.<byte[], byte[]>newBuilder(new Raw(), new Raw())
        .setType(type).setFullMethodName("test.Probe/" + method).build();
    return channel.newCall(descriptor, options.withMaxInboundMessageSize(1 << 30));
  }

  private static void found(String name, String json) {
    System.out.println(name + "\t" + json);
  }

  private static String quoted(String text) {
    return '"' + text + '"';
  }

  private static String unary(String method, byte[] request, CallOptions options) {
    try {
      byte[] answer = ClientCalls.blockingUnaryCall(call(method, MethodType.UNARY, options), request);
      return answer.length < 100 ? quoted(new String(answer, StandardCharsets.UTF_8)) : "" + answer.length;
    } catch (RuntimeException error) {
      Status status = Status.fromThrowable(error);
      return "[" + quoted(status.getCode().name()) + ", " + quoted(status.getDescription()) + "]";
    }
  }

  private static final class Collector implements StreamObserver<byte[]> {
    final List<byte[]> answers = new ArrayList<>();
    final CompletableFuture<List<byte[]>> done = new CompletableFuture<>();

    @Override
    public void onNext(byte[] answer) {
      answers.add(answer);
    }

    @Override
    public void onError(Throwable error) {
      done.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      done.complete(answers);
    }
  }

  private static List<byte[]> stream(String method, MethodType type, int... sizes) throws Exception {
    var answers = new Collector();
    var opened = call(method, type, CallOptions.DEFAULT);
    StreamObserver<byte[]> requests = type == MethodType.CLIENT_STREAMING
        ? ClientCalls.asyncClientStreamingCall(opened, answers)
        : ClientCalls.asyncBidiStreamingCall(opened, answers);
    for (int size : sizes) {
      requests.onNext(new byte[size]);
    }
    requests.onCompleted();
    return answers.done.get(30, TimeUnit.SECONDS);
  }

  public static void main(String[] arguments) throws Exception {
    channel = Grpc.newChannelBuilder("127.0.0.1:" + arguments[0], InsecureChannelCredentials.create()).build();
    CallOptions plain = CallOptions.DEFAULT;

    found("unary", unary("echo", "hello".getBytes(), plain));
    found("large", unary("echo", new byte[4_000_000], plain));
    found("too large", unary("echo", new byte[4_194_305], plain));
    found("abort", unary("abort", "größer".getBytes(StandardCharsets.UTF_8), plain));
    String late = unary("hang", "java".getBytes(), plain.withDeadlineAfter(200, TimeUnit.MILLISECONDS));
    found("deadline", late.substring(1, late.indexOf(',')));
    var hanging = call("hang", MethodType.UNARY, plain);
    var given = ClientCalls.futureUnaryCall(hanging, "java".getBytes());
    Thread.sleep(50);
    given.cancel(true);
    found("cancel", quoted(given.isCancelled() ? "CANCELLED" : "?"));

    List<Future<byte[]>> calls = new ArrayList<>();
    for (int n = 0; n < 1000; n++) {
      calls.add(ClientCalls.futureUnaryCall(call("later", MethodType.UNARY, plain), ("" + n).getBytes()));
    }
    boolean right = true;
    for (int n = 0; n < 1000; n++) {
      right &= new String(calls.get(n).get(30, TimeUnit.SECONDS)).equals("" + n);
    }
    found("parallel", "" + right);

    int many = 0;
    var answers = ClientCalls.blockingServerStreamingCall(call("many", MethodType.SERVER_STREAMING, plain), "2000".getBytes());
    while (answers.hasNext()) {
      answers.next();
      many++;
    }
    found("server stream", "" + many);

    int[] pieces = new int[100];
    java.util.Arrays.fill(pieces, 10_000);
    found("client stream", quoted(new String(stream("total", MethodType.CLIENT_STREAMING, pieces).get(0))));
    var sizes = stream("chat", MethodType.BIDI_STREAMING, 1, 100_000, 0, 5).stream().map(each -> each.length).toList();
    found("both stream", sizes.toString());

    var key = Metadata.Key.of("key-bin", Metadata.BINARY_BYTE_MARSHALLER);
    var sent = new Metadata();
    sent.put(key, new byte[] {0, (byte) 255});
    var trailers = new AtomicReference<Metadata>();
    var seeing = io.grpc.ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(sent),
        MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailers));
    var descriptor = MethodDescriptor.<byte[], byte[]>newBuilder(new Raw(), new Raw())
        .setType(MethodType.UNARY).setFullMethodName("test.Probe/metadata").build();
    ClientCalls.blockingUnaryCall(seeing, descriptor, plain, new byte[0]);
    var last = Metadata.Key.of("last-bin", Metadata.BINARY_BYTE_MARSHALLER);
    found("metadata", quoted(HexFormat.of().formatHex(trailers.get().get(last))));
    channel.shutdownNow();
  }
}
