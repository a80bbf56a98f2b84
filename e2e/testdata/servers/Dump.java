// Answers with every way in which a servlet reads who asks, a line each, in Tomcat and in Jetty.
import java.io.IOException;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.util.Enumeration;
import java.util.Collections;
import java.util.function.Function;
import org.apache.catalina.startup.Tomcat;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

public class Dump {
    static void dump(PrintWriter out, Enumeration<String> names, Function<String, String> one, Function<String, Enumeration<String>> all,
            String user, String path, String info) {
        for (String name : Collections.list(names)) {
            out.println("HTTP_" + name + "=" + one.apply(name));
            out.println("LIST_" + name + "=" + String.join("+", Collections.list(all.apply(name))));
        }
        out.println("REMOTE_USER=" + (user == null ? "" : user));
        out.println("ROUTE=" + path + (info == null ? "" : info));
    }

    static class InTomcat extends jakarta.servlet.http.HttpServlet {
        @Override
        protected void service(jakarta.servlet.http.HttpServletRequest r, jakarta.servlet.http.HttpServletResponse w) throws IOException {
            r.getInputStream().readAllBytes();
            dump(w.getWriter(), r.getHeaderNames(), r::getHeader, r::getHeaders, r.getRemoteUser(), r.getServletPath(), r.getPathInfo());
        }
    }

    static class InJetty extends javax.servlet.http.HttpServlet {
        @Override
        protected void service(javax.servlet.http.HttpServletRequest r, javax.servlet.http.HttpServletResponse w) throws IOException {
            r.getInputStream().readAllBytes();
            dump(w.getWriter(), r.getHeaderNames(), r::getHeader, r::getHeaders, r.getRemoteUser(), r.getServletPath(), r.getPathInfo());
        }
    }

    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(args[2]);
        tomcat.setPort(Integer.parseInt(args[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        var context = tomcat.addContext("", args[2]);
        Tomcat.addServlet(context, "dump", new InTomcat());
        context.addServletMappingDecoded("/*", "dump");
        tomcat.start();

        Server jetty = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])));
        ServletContextHandler handler = new ServletContextHandler();
        handler.setContextPath("/");
        handler.addServlet(new ServletHolder(new InJetty()), "/*");
        jetty.setHandler(handler);
        jetty.start();
        jetty.join();
    }
}
