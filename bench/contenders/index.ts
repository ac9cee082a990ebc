import type { ContenderKind } from './contender.js'
import { mysql2, mysql2Promise } from './floor.js'
import { ours } from './ours.js'

/** Everybody who is measured. */
export const contenderKinds: readonly ContenderKind[] = [mysql2, mysql2Promise, ours]
