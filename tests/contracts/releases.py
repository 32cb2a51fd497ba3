"""Small releases for tests: one contract, `Ask`, whose request holds what the test is about."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from rivta.contracts.domain import Contract, read_domain

NAMESPACE = "urn:riv:test:asking:AskResponder:{major}"


def schema(
    content: str = '<xs:element name="question" type="xs:string"/>',
    *,
    types: str = "",
    head: str = "",
    major: int = 1,
    answer: str = '<xs:element name="answer" type="xs:string"/>',
) -> str:
    """`content` is what the request holds, `answer` what the response does, `head` imports, `types` the rest (`t:`)."""
    namespace = NAMESPACE.format(major=major)
    return (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="{namespace}" targetNamespace="{namespace}"'
        f' elementFormDefault="qualified">{head}'
        f'<xs:element name="Ask"><xs:complexType><xs:sequence>{content}</xs:sequence></xs:complexType></xs:element>'
        f'<xs:element name="AskResponse"><xs:complexType><xs:sequence>{answer}</xs:sequence></xs:complexType></xs:element>'
        f"{types}</xs:schema>"
    )


def wsdl(
    location: str = "AskResponder_1.0.xsd", *, major: int = 1, name: str = "Ask", domain: str = "test:asking"
) -> str:
    namespace = NAMESPACE.format(major=major)
    return f"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="{namespace}" xmlns:i="urn:riv:{domain}:{name}:{major}:rivtabp21" targetNamespace="urn:riv:{domain}:{name}:{major}:rivtabp21">
  <wsdl:types><xs:schema><xs:import namespace="{namespace}" schemaLocation="{location}"/></xs:schema></wsdl:types>
  <wsdl:message name="Request"><wsdl:part name="parameters" element="t:Ask"/></wsdl:message>
  <wsdl:message name="Response"><wsdl:part name="parameters" element="t:AskResponse"/></wsdl:message>
  <wsdl:portType name="AskResponderInterface"><wsdl:operation name="Ask">
    <wsdl:input message="i:Request"/><wsdl:output message="i:Response"/>
  </wsdl:operation></wsdl:portType>
</wsdl:definitions>"""


def release(version: str = "1.0", **changed: str) -> dict[str, str]:
    """The files of a release by their path; `schema` and `wsdl` replace those files' texts."""
    major = int(version.partition(".")[0])
    folder = "interactions/AskInteraction"
    return {
        f"{folder}/AskResponder_{version}.xsd": changed.get("schema") or schema(major=major),
        f"{folder}/AskInteraction_{version}_RIVTABP21.wsdl": changed.get("wsdl")
        or wsdl(f"AskResponder_{version}.xsd", major=major),
    }


def contract_of(folder: Path, content: str, *, types: str = "") -> Contract:
    """The contract Ask whose request holds `content`, in `folder`."""
    (contract,) = read_domain(written(folder / "test.asking", release(schema=schema(content, types=types))))
    return contract


def written(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


def zip_bytes(files: Mapping[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()
