"""Every XML namespace the platform itself speaks of. No URN literal stands anywhere else in the code."""

SOAP_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
WS_ADDRESSING = "http://www.w3.org/2005/08/addressing"
REGISTRY_1 = "urn:riv:itintegration:registry:1"
REGISTRY_2 = "urn:riv:infrastructure:itintegration:registry:2"
INTEROPERABILITY_HEADERS = "urn:riv:interoperability:headers:1"
XOP_INCLUDE = "http://www.w3.org/2004/08/xop/include"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
XML = "http://www.w3.org/XML/1998/namespace"
XML_SCHEMA = "http://www.w3.org/2001/XMLSchema"
XML_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

VAGVALSINFO_1 = "urn:skl:tp:vagvalsinfo:v1"
VAGVALSINFO_2 = "urn:skl:tp:vagvalsinfo:v2"
XML_SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
PUBLICATION_FILE = "urn:rivta:publication:1"
"""Ours: the signed file that another platform can import."""

GET_SUPPORTED_SERVICE_CONTRACTS_1 = "urn:riv:itintegration:registry:GetSupportedServiceContractsResponder:1"
GET_SUPPORTED_SERVICE_CONTRACTS_2 = (
    "urn:riv:infrastructure:itintegration:registry:GetSupportedServiceContractsResponder:2"
)
GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_1 = (
    "urn:riv:itintegration:registry:GetLogicalAddresseesByServiceContractResponder:1"
)
GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_2 = (
    "urn:riv:infrastructure:itintegration:registry:GetLogicalAddresseesByServiceContractResponder:2"
)
PING_FOR_CONFIGURATION_1 = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1"
ENGAGEMENT_INDEX_1 = "urn:riv:itintegration:engagementindex:1"
"""The types of the engagement index."""
UPDATE_1 = "urn:riv:itintegration:engagementindex:UpdateResponder:1"
PROCESS_NOTIFICATION_1 = "urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1"
FIND_CONTENT_1 = "urn:riv:itintegration:engagementindex:FindContentResponder:1"
GET_UPDATES_1 = "urn:riv:itintegration:engagementindex:GetUpdatesResponder:1"
NOTIFICATION_PATH = "urn:rivta:notification:1"
"""Ours: in a notification, the indexes that have had it."""
GET_DIAGNOSIS_2 = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
GET_CARE_CONTACTS_3 = "urn:riv:clinicalprocess:logistics:logistics:GetCareContactsResponder:3"

HEALTHCOND_DESCRIPTION_2 = "urn:riv:clinicalprocess:healthcond:description:2"
LOGISTICS_3 = "urn:riv:clinicalprocess:logistics:logistics:3"
