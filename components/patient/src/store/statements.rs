//! The statements. The lists of everybody and by name walk along an index and stop after their page, so they cost the
//! same whatever the number of patients; the others read those who share the e-mail or the birthday.

macro_rules! columns {
    ($($more:literal)?) => {
        concat!("id, name, email, address, date_of_birth, registered_date, version", $(", ", $more)?)
    };
}

pub const PROBE: &str = "select id from patients limit 1";

pub const FIND: &str = concat!("select ", columns!(), " from patients where id = $1 and deleted_at is null");

pub const LOCK: &str =
    concat!("select ", columns!("deleted_at is not null"), " from patients where id = $1 for update");

pub const SIMILAR: &str = concat!(
    "(select ",
    columns!(),
    " from patients",
    " where identity = $1 and date_of_birth = $2 and deleted_at is null limit 20)",
    " union ",
    "(select ",
    columns!(),
    " from patients",
    " where email_key = $3 and (date_of_birth = $2 or identity = $1) and deleted_at is null limit 20)",
);

/// No row, and nothing stored, if there is a namesake. Waits for one that is being registered.
pub const INSERT: &str = "\
with patient as (
    insert into patients (id, version, name, email, address, date_of_birth, registered_date,
                          sort_name, identity, email_key, twin)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    on conflict (identity, date_of_birth, twin) where deleted_at is null do nothing
    returning *
), history as (
    insert into patient_history (patient_id, version, change, changed_at, changed_by,
                                 name, email, address, date_of_birth, registered_date)
    select id, version, 'registered', $12, $13, name, email, address, date_of_birth, registered_date from patient
), parts as (
    insert into name_parts (part, sort_name, patient_id)
    select part, sort_name, id from patient, unnest($14::text[]) as part
)
select id from patient";

pub const REPLACE: &str = "\
with patient as (
    update patients
    set version = $2, name = $3, email = $4, address = $5, date_of_birth = $6,
        sort_name = $7, identity = $8, email_key = $9, twin = coalesce($10, twin)
    where id = $1
    returning *
)
insert into patient_history (patient_id, version, change, changed_at, changed_by,
                             name, email, address, date_of_birth, registered_date)
select id, version, 'updated', $11, $12, name, email, address, date_of_birth, registered_date from patient";

pub const DELETE: &str = "\
with patient as (
    update patients set version = $2, deleted_at = $3 where id = $1 returning *
)
insert into patient_history (patient_id, version, change, changed_at, changed_by,
                             name, email, address, date_of_birth, registered_date)
select id, version, 'deleted', $3, $4, name, email, address, date_of_birth, registered_date from patient";

pub const DELETE_PARTS: &str = "delete from name_parts where patient_id = $1";

pub const INSERT_PARTS: &str = "\
insert into name_parts (part, sort_name, patient_id)
select part, $2, $1 from unnest($3::text[]) as part";

pub const LIST: &str = concat!(
    "select ",
    columns!("sort_name, '' as part"),
    " from patients",
    " where deleted_at is null and (sort_name, id) > ($1, $2)",
    " order by sort_name, id limit $3",
);

pub const LIST_BY_EMAIL: &str = concat!(
    "select ",
    columns!("sort_name, '' as part"),
    " from patients",
    " where deleted_at is null and email_key = $1 and (sort_name, id) > ($2, $3)",
    " and ($5::date is null or date_of_birth = $5) and ' ' || sort_name like all ($6::text[])",
    " order by sort_name, id limit $4",
);

pub const LIST_BY_BIRTH: &str = concat!(
    "select ",
    columns!("sort_name, '' as part"),
    " from patients",
    " where deleted_at is null and date_of_birth = $1 and (sort_name, id) > ($2, $3)",
    " and ' ' || sort_name like all ($5::text[])",
    " order by sort_name, id limit $4",
);

/// Walks the parts that begin with the leading term, from `$1` to before `$2`, after a position. A name with two such
/// parts is shown once, at the first. `offset 0` keeps the conditions out of the walk: the planner thinks that they
/// leave next to nothing, and would collect and sort all parts of the range for a page.
pub const LIST_BY_NAME: &str = "\
select p.id, p.name, p.email, p.address, p.date_of_birth, p.registered_date, p.version, hit.sort_name, hit.part
from (
    select part, sort_name, patient_id
    from (
        select part, sort_name, patient_id from name_parts
        where part >= $1 and part < $2 and (part, sort_name, patient_id) > ($3, $4, $5)
        order by part, sort_name, patient_id
        offset 0
    ) as walk
    where ' ' || sort_name like all ($7::text[])
      and part = (
          select min(other.part) from name_parts as other
          where other.patient_id = walk.patient_id and other.part >= $1 and other.part < $2
      )
    limit $6
) as hit
join patients as p on p.id = hit.patient_id
order by hit.part, hit.sort_name, hit.patient_id";
