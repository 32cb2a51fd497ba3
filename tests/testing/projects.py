"""A SoapUI project in the form that SoapUI saves, with something of every kind."""

REQUEST = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
  <soapenv:Header><r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">${#Project#address}</r:LogicalAddress></soapenv:Header>
  <soapenv:Body><p:PingForConfiguration xmlns:p="urn:riv:itintegration:monitoring:PingForConfigurationResponder:1">
    <p:serviceContractNamespace>${contract}</p:serviceContractNamespace>
    <p:logicalAddress>${Data#who}</p:logicalAddress>
  </p:PingForConfiguration></soapenv:Body>
</soapenv:Envelope>"""


def assertion(kind: str, configuration: str = "", *, name: str = "", disabled: bool = False) -> str:
    """An assertion as a project has it."""
    attributes = f' name="{name}"' + (' disabled="true"' if disabled else "")
    return f'<con:assertion type="{kind}"{attributes}><con:configuration>{configuration}</con:configuration></con:assertion>'


def project(*assertions: str, request: str = REQUEST, encoding: str = "UTF-8", steps: str = "") -> bytes:
    """A project with one case: properties, a script, and one step that sends a message."""
    text = f"""<?xml version="1.0" encoding="{encoding}"?>
<con:soapui-project name="Regression åäö" xmlns:con="http://eviware.com/soapui/config" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<con:interface xsi:type="con:WsdlInterface" name="PingBinding"><con:operation name="PingForConfiguration" action="urn:ping:action"/></con:interface>
<con:testSuite name="Routing / basics">
  <con:testCase name="Ping">
    <con:properties><con:property><con:name>contract</con:name><con:value>urn:x:${{#TestSuite#major}}</con:value></con:property></con:properties>
    <con:testStep type="properties" name="Data"><con:config><con:properties>
      <con:property><con:name>who</con:name><con:value>A &amp; B</con:value></con:property></con:properties></con:config></con:testStep>
    <con:testStep type="groovy" name="prepare"><con:config><con:script>log.info("one")
log.info("två")</con:script></con:config></con:testStep>
    {steps}
    <con:testStep type="request" name="ping it"><con:config xsi:type="con:RequestStep">
      <con:interface>PingBinding</con:interface><con:operation>PingForConfiguration</con:operation>
      <con:request name="ping it"><con:settings>
        <con:setting id="com.eviware.soapui.impl.wsdl.WsdlRequest@request-headers">&lt;xml-fragment xmlns:con="http://eviware.com/soapui/config">&lt;con:entry key="x-rivta-original-serviceconsumer-hsaid" value="${{#Project#consumer}}"/>&lt;con:entry key="Authorization" value="Basic YTpi"/>&lt;/xml-fragment></con:setting></con:settings>
        <con:encoding>UTF-8</con:encoding><con:endpoint>https://${{#Project#host}}/vp</con:endpoint>
        <con:request><![CDATA[{request}]]></con:request>{"".join(assertions)}
      </con:request></con:config></con:testStep>
  </con:testCase>
  <con:testCase name="Off" disabled="true"><con:testStep type="delay" name="wait"/></con:testCase>
  <con:properties><con:property><con:name>major</con:name><con:value>1</con:value></con:property></con:properties>
</con:testSuite>
<con:properties>
  <con:property><con:name>address</con:name><con:value>SE2321000016-KS</con:value></con:property>
  <con:property><con:name>consumer</con:name><con:value>SE1-C</con:value></con:property>
</con:properties>
</con:soapui-project>"""
    return text.encode(encoding)
