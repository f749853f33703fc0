import { loadMutation } from './load-mutation.ts'
import { MUTATIONS, type MutationName } from './mutations.ts'

// Imported before everything else by a process that shall run the law with a mistake: CUMULUS_SIM_MUTATION names it.
const name = process.env['CUMULUS_SIM_MUTATION']
if (name !== undefined && Object.hasOwn(MUTATIONS, name)) loadMutation(name as MutationName)
else if (name !== undefined) throw new Error(`there is no mutation "${name}"`)
