"""Not in raydock: the import tells so."""

from raydock.sdk.plugins.actions.out_of_scope import out_of_scope

raise out_of_scope(__name__)
