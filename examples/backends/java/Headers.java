// 相信 Caddy 给的请求头。只监听 127.0.0.1，别人就没法绕过 Caddy 来伪造。只用 JDK（11 或更新）。
// Trusts the headers that Caddy sets. It listens on 127.0.0.1, so that nobody can send them past Caddy. JDK 11 or later alone.
//
//   java Headers.java
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Headers {
    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "3000"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 0);
        server.createContext("/me", Headers::me);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    static void me(HttpExchange exchange) throws IOException {
        var headers = exchange.getRequestHeaders();
        String openid = headers.getFirst("X-WX-OPENID"), appid = headers.getFirst("X-WX-APPID"), phone = headers.getFirst("X-WX-PHONE");
        boolean known = openid != null; // 否则是 public 路径，或匿名 / else a public path, or anonymous
        String body = known
            ? String.format("{\"openid\":\"%s\",\"appid\":\"%s\",\"phone\":\"%s\"}", openid, appid, phone == null ? "" : phone)
            : "{\"error\":\"no_user\"}";
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(known ? 200 : 401, body.length());
        try (var out = exchange.getResponseBody()) {
            out.write(body.getBytes("UTF-8"));
        }
    }
}
