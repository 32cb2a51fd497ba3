"""A small table that every rule of the incumbent's resolution can be tried on, with what it answers.

Two addresses below a region, three routes, three permissions, one of which has run out.
"""

from datetime import UTC, datetime

from rivta.soap.identifiers import ContractNamespace
from tests.catalogue.tables import tree

BOOKINGS = ContractNamespace("urn:riv:crm:scheduling:GetBookingsResponder:1")
LAB = ContractNamespace("urn:riv:clinicalprocess:x:GetLabResponder:3")

AT = datetime(2024, 9, 1, 12, tzinfo=UTC)

HSA = tree(SE2321_A1="SE2321-R1", SE2321_R1=None)

TABLE = f"""\
components:
  PROD1: {{name: "Producent <1> & co"}}
  KONS1: {{name: "Konsument ett"}}
logical_addresses:
  SE2321-R1: {{name: "Regionen"}}
producer_addresses:
  u1: {{component: PROD1, url: "https://p1/b?a=1&b=2", profile: RIVTABP21}}
  u2: {{component: PROD1, url: "https://p1/l", profile: RIVTABP21}}
  u3: {{component: PROD1, url: "${{national}}", profile: RIVTABP20}}
routes:
- {{logical_address: SE2321-A1, contracts: "{BOOKINGS}", producer_address: u1, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: SE2321-R1, contracts: "{LAB}", producer_address: u2, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: "*", contracts: "{LAB}", producer_address: u3, valid_from: 2024-01-01, valid_to: 2124-01-01}}
permissions:
- {{consumer: KONS1, logical_address: SE2321-R1, contracts: "{BOOKINGS}", agreement: A1, valid_from: 2024-01-01,
   valid_to: 2124-01-01}}
- {{consumer: KONS1, logical_address: "*", contracts: "{LAB}", agreement: A2, valid_from: 2024-01-01,
   valid_to: 2124-01-01}}
- {{consumer: KONS2, logical_address: SE2321-R1, contracts: "{LAB}", agreement: A3, valid_from: 2024-01-01,
   valid_to: 2024-06-30}}
"""
