-- Takes the patients of the old system over into Ward, with their ids: docs/migrating.md. All or nothing.
--
--     psql "$PATIENT_DATABASE" -f docs/load-patients.sql        reads patients.csv in the working directory
--
-- Does what a registration does: the patient, the history, the search by name, and the event `patient.registered`, from which
-- billing opens the account, analytics counts, and the bridge tells Kafka. Patients whose id is there already are left out.
\set ON_ERROR_STOP on
begin;

create temp table old (
    id uuid primary key, name text not null, email text not null, address text not null,
    date_of_birth date not null, registered_date date not null
) on commit drop;
\copy old from 'patients.csv' csv

delete from old where id in (select id from patients);

-- The parts of a name as Ward compares them: without case, accents and punctuation (components/patient/src/name.rs).
create function pg_temp.parts(name text) returns text[] language sql as $$
    select coalesce(array_agg(part) filter (where part <> ''), array[regexp_replace(name, '\s', '', 'g')])
    from regexp_split_to_table(
        regexp_replace(
            replace(replace(replace(replace(
                translate(
                    lower(regexp_replace(
                        normalize(name, nfkd),
                        '[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670]', '', 'g')),
                    'øłđðħıŧ''`‘’ʻʼ', 'olddhit'),
                'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'),
            '(?:(?![\u0900-\u0963\u0966-\u0dff\u0e00-\u109f\u1780-\u17df])[[:punct:][:space:][:cntrl:]])+', ' ', 'g'),
        ' ') as part
$$;

-- A string of a protobuf message: number and kind, length, bytes.
create function pg_temp.field(number int, value text) returns bytea language sql as $$
    select set_byte('\x00', 0, number * 8 + 2)
        || case when n < 128 then set_byte('\x00', 0, n)
                else set_byte(set_byte('\x0000', 0, n % 128 + 128), 1, n / 128) end
        || convert_to(value, 'UTF8')
    from octet_length(convert_to(value, 'UTF8')) as n
$$;

create temp table new on commit drop as
select *, array_to_string(parts, ' ') as sort_name,
    array_to_string(array(select part from unnest(parts) as part order by part collate "C"), ' ') as identity
from (select trim(name) as name, trim(email) as email, trim(address) as address,
          id, date_of_birth, registered_date, pg_temp.parts(name) as parts from old) as patient;

-- Of several with the same name and birthday the first is the one that later registrations are held against.
insert into patients (id, version, name, email, address, date_of_birth, registered_date, sort_name, identity, email_key, twin)
select id, 1, name, email, address, date_of_birth, registered_date, sort_name, identity, lower(email),
    case when row_number() over (partition by identity, date_of_birth order by registered_date, id) = 1
              and not exists (select from patients as there where there.identity = new.identity
                              and there.date_of_birth = new.date_of_birth and there.deleted_at is null)
         then '00000000-0000-0000-0000-000000000000' else id end
from new;

insert into patient_history (patient_id, version, change, changed_at, changed_by, name, email, address, date_of_birth, registered_date)
select id, 1, 'registered', now(), 'migration', name, email, address, date_of_birth, registered_date from new;

insert into name_parts (part, sort_name, patient_id)
select distinct part, sort_name, id from new, unnest(parts) as part;

insert into ward.outbox (id, type, subject, version, traceparent, data)
select gen_random_uuid(), 'patient.registered', id::text, 1,
    '00-' || md5(random()::text) || '-' || left(md5(random()::text), 16) || '-01',
    pg_temp.field(1, id::text) || pg_temp.field(2, name) || pg_temp.field(3, email)
        || pg_temp.field(4, to_char(registered_date, 'YYYY-MM-DD'))
from new order by registered_date, id;

select count(*) as taken_over from new;
commit;
analyze patients, name_parts;
