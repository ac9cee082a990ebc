import { defineConfig } from 'drizzle-kit'

// `generate` needs no database; everything else does.
const url = process.env.DATABASE_URL
if (!url && !process.argv.includes('generate') && !process.argv.includes('check')) {
  throw new Error('Set DATABASE_URL, for example DATABASE_URL=mysql://user:password@localhost:3306/database')
}

export default defineConfig({
  dialect: 'mysql',
  schema: './src/schema/index.ts',
  out: './drizzle',
  // Without it, `push --force` drops every other table of the database.
  tablesFilter: ['go_goscope_*'],
  dbCredentials: { url: url ?? '' },
})
