import { bentocache } from './bentocache.js'
import type { ContenderKind } from './contender.js'
import { mysql2, mysql2Promise } from './floor.js'
import { goGoScope } from './go-go-scope.js'
import { keyv } from './keyv.js'
import { ours } from './ours.js'
import { sameStatement } from './same-statement.js'
import { verrou } from './verrou.js'

/** Everybody who is measured. */
export const contenderKinds: readonly ContenderKind[] = [
  mysql2,
  mysql2Promise,
  sameStatement,
  ours,
  goGoScope,
  verrou,
  keyv,
  bentocache,
]
