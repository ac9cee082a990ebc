export { cache } from './cache.js'
export { checkpoints } from './checkpoints.js'
export { circuit } from './circuit.js'
export { locks } from './locks.js'
