import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;

/** A journal system in Java: takes the address from a contract's WSDL and calls there, as each of several systems. */
public class JournalSystem {
    /** Trust store, its password, which is also that of the key stores, envelope; then key store and WSDL of each call. */
    public static void main(String[] arguments) throws Exception {
        KeyStore trusted = open(arguments[0], arguments[1]);
        Path envelope = Path.of(arguments[2]);
        for (int call = 3; call < arguments.length; call += 2) {
            HttpClient client = client(open(arguments[call], arguments[1]), trusted, arguments[1]);
            try {
                System.out.println(call(client, address(client, arguments[call + 1]), envelope));
            } catch (java.io.IOException error) {
                System.out.println(error.getClass().getSimpleName() + ": " + error.getMessage());
            }
        }
    }

    static KeyStore open(String file, String password) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream stream = new FileInputStream(file)) {
            store.load(stream, password.toCharArray());
        }
        return store;
    }

    static HttpClient client(KeyStore own, KeyStore trusted, String password) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, password.toCharArray());
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return HttpClient.newBuilder().sslContext(tls).version(HttpClient.Version.HTTP_1_1).build();
    }

    static String address(HttpClient client, String wsdl) throws Exception {
        var answer = client.send(HttpRequest.newBuilder(URI.create(wsdl)).build(), BodyHandlers.ofInputStream());
        var factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        var found = factory.newDocumentBuilder().parse(answer.body());
        var addresses = found.getElementsByTagNameNS("http://schemas.xmlsoap.org/wsdl/soap/", "address");
        return ((Element) addresses.item(0)).getAttribute("location");
    }

    static String call(HttpClient client, String url, Path envelope) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
            .header("Content-Type", "text/xml; charset=UTF-8")
            .header("SOAPAction", "\"\"")
            .POST(HttpRequest.BodyPublishers.ofByteArray(Files.readAllBytes(envelope)))
            .build();
        var answer = client.send(request, BodyHandlers.ofString());
        return answer.statusCode() + " " + url + " " + answer.body().replace('\n', ' ');
    }
}
