import { gt, isNull, or } from 'drizzle-orm'
import { now } from '../database/clock.js'
import { cache } from '../schema/index.js'

/** SQL: whether a cached row has not expired. */
export const isLive = or(isNull(cache.expiresAt), gt(cache.expiresAt, now))
