"""All tests of the contract: a module of tests imports them from here."""

from dapr_state.testing.stores.administration import *
from dapr_state.testing.stores.bulk import *
from dapr_state.testing.stores.concurrency import *
from dapr_state.testing.stores.crud import *
from dapr_state.testing.stores.etags import *
from dapr_state.testing.stores.keys import *
from dapr_state.testing.stores.lists import *
from dapr_state.testing.stores.programs import *
from dapr_state.testing.stores.queries import *
from dapr_state.testing.stores.transactions import *
from dapr_state.testing.stores.ttl import *
