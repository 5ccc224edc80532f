package queries;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.client.DaprClientBuilder;
import io.dapr.client.DaprPreviewClient;
import io.dapr.client.domain.QueryStateItem;
import io.dapr.client.domain.QueryStateResponse;
import io.dapr.config.Properties;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What an application asks with the official SDK; it prints what it saw as JSON. Arguments: gRPC port, HTTP port, store. */
public class Queries {
  public static void main(String[] arguments) throws Exception {
    DaprPreviewClient client = new DaprClientBuilder()
        .withPropertyOverride(Properties.GRPC_PORT, arguments[0])
        .withPropertyOverride(Properties.HTTP_PORT, arguments[1])
        .buildPreviewClient();
    List<String> keys = new ArrayList<>();
    List<JsonNode> data = new ArrayList<>();
    String token = "";
    while (true) {
      String query = "{\"filter\":{\"EQ\":{\"city\":\"Bern\"}},\"sort\":[{\"key\":\"total\",\"order\":\"DESC\"}],"
          + "\"page\":{\"limit\":1,\"token\":\"" + token + "\"}}";
      QueryStateResponse<JsonNode> page = client.queryState(arguments[2], query, JsonNode.class).block();
      if (page.getResults() == null || page.getResults().isEmpty()) {
        break;
      }
      for (QueryStateItem<JsonNode> item : page.getResults()) {
        keys.add(item.getKey());
        data.add(item.getValue());
      }
      token = page.getToken();
    }
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("keys", keys);
    seen.put("data", data);
    try {
      client.queryState(arguments[2], "{\"filter\":{\"FOO\":1}}", JsonNode.class).block();
      seen.put("refused", "");
    } catch (Exception error) {
      seen.put("refused", error.getMessage());
    }
    System.out.println(new ObjectMapper().writeValueAsString(seen));
    System.exit(0);
  }
}
